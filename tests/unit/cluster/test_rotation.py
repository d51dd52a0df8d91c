"""Each rotation, step by step: whoever has restarted and whoever has not yet, they take what each other sends."""

from datetime import UTC, datetime, timedelta
from functools import cache

import jwt
import pytest

from infra.cluster import secrets
from infra.cluster.rotation import bus, catalogue, database, forge_key, logins, session_key
from infra.local.errors import WrongUsage
from infra.local.forge import tokens as forge
from sidecar.domain.errors import Unauthenticated
from sidecar.relay.tokens import Tokens


class Interrupted(Exception):
    pass


@cache
def new_secrets():
    """Once: an RSA key takes a tenth of a second. What a cluster changes, it puts into a copy."""
    return secrets.completed({})


class Cluster:
    """The whole set of secrets, and what each workload read of it when it last started."""

    def __init__(self, *, interrupted_at=None):
        self.whole = new_secrets()
        self.running = dict.fromkeys(("relay", "forge", "nats", "prefect"), self.whole)
        self.steps, self.check, self.interrupted_at = [], lambda: None, interrupted_at
        self.sql = []
        self.kubectl = self

    def put(self, changes):
        self._step(f"put {sorted(changes)}")
        merged = {**self.whole, **changes}
        self.whole = {name: value for name, value in merged.items() if value is not None}

    def restart(self, *names):
        for name in names:
            self._step(f"restart {name}")
            self.running = {**self.running, name: self.whole}
            self.check()

    def must(self, *words, given=None):
        self._step(words[0])
        self.sql.append(given)
        return ""

    def _step(self, name):
        if len(self.steps) == self.interrupted_at:
            self.interrupted_at = None
            raise Interrupted(name)
        self.steps.append(name)


def relay(whole):
    return Tokens(whole["session-key.pem"].encode())


def minted(whole):
    return relay(whole).mint_session("s", "a", 1).get_secret_value()


def test_while_relays_are_replaced_each_takes_every_others_tokens():
    cluster = Cluster()
    before = [cluster.whole]

    def each_takes_the_others():
        old, new = before[0], cluster.running["relay"]
        relay(old).verify_session(minted(new))
        relay(new).verify_session(minted(old))
        before[0] = new

    cluster.check = each_takes_the_others
    first = minted(cluster.whole)
    session_key.rotate(cluster)
    relay(cluster.whole).verify_session(first)
    assert "session-key-next.pem" not in cluster.whole
    assert jwt.get_unverified_header(minted(cluster.whole)) != jwt.get_unverified_header(first)


def test_a_replaced_session_key_ends_after_its_last_token():
    cluster = Cluster()
    first = minted(cluster.whole)
    session_key.rotate(cluster)
    later = Tokens(
        cluster.whole["session-key.pem"].encode(), lambda: datetime.now(UTC) + timedelta(hours=1)
    )
    with pytest.raises(Unauthenticated, match="not one of ours"):
        later.verify_session(first, allow_expired=True)


@pytest.mark.parametrize("step", range(5))
def test_an_interrupted_session_key_is_gone_on_with(step):
    cluster = Cluster(interrupted_at=step)
    first = minted(cluster.whole)
    with pytest.raises(Interrupted):
        session_key.rotate(cluster)
    session_key.rotate(cluster)
    relay(cluster.whole).verify_session(first)
    assert cluster.whole["session-key.pem"].count("BEGIN PUBLIC KEY") == 1
    assert cluster.running["relay"]["session-key.pem"] == cluster.whole["session-key.pem"]


def test_two_rotations_in_a_row_forget_no_key_before_its_time():
    cluster = Cluster()
    first = minted(cluster.whole)
    session_key.rotate(cluster)
    second = minted(cluster.whole)
    session_key.rotate(cluster)
    for token in (first, second, minted(cluster.whole)):
        relay(cluster.whole).verify_session(token)


def test_the_forge_takes_the_relays_key_at_every_step(tmp_path):
    cluster = Cluster()

    def app_is_known():
        claims = {
            "iss": "1",
            "iat": datetime.now(UTC),
            "exp": datetime.now(UTC) + timedelta(minutes=9),
        }
        token = jwt.encode(claims, cluster.running["relay"]["forge-key.pem"], algorithm="RS256")
        public = cluster.running["forge"]["forge-public.pem"]
        known = forge.Tokens(
            tmp_path / "tokens.json", app_id="1", app_public_key=public, admin_token="t"
        )
        return known.is_app(token)

    seen = []
    cluster.check = lambda: seen.append(app_is_known())
    old = cluster.whole["forge-key.pem"]
    forge_key.rotate(cluster)
    assert seen == [True, True, True]
    assert cluster.whole["forge-key.pem"] != old
    assert cluster.whole["forge-public.pem"].count("BEGIN") == 1


@pytest.mark.parametrize("step", range(4))
def test_an_interrupted_password_is_the_one_that_the_database_was_told(step):
    cluster = Cluster(interrupted_at=step)
    with pytest.raises(Interrupted):
        database.rotate(cluster)
    database.rotate(cluster)
    password = cluster.whole["postgres-password"].strip()
    silence, change = cluster.sql[-1].splitlines()
    assert silence == "SET log_min_error_statement = panic;"
    assert change == f"ALTER ROLE x1 PASSWORD '{password}';"
    assert "postgres-password-next" not in cluster.whole
    assert cluster.running["prefect"] == cluster.whole


def test_the_buss_servers_come_back_before_the_relays_that_log_in_with_the_new_user():
    cluster = Cluster()
    bus.rotate(cluster)
    assert cluster.steps[1:3] == ["restart nats", "restart relay"]
    assert "bus-next.json" not in cluster.whole


@pytest.mark.parametrize("step", range(4))
def test_an_interrupted_rotation_of_the_bus_goes_on_with_the_keys_that_servers_may_have(step):
    cluster = Cluster(interrupted_at=step)
    with pytest.raises(Interrupted):
        bus.rotate(cluster)
    begun = cluster.whole
    bus.rotate(cluster)
    if "bus-next.json" in begun:
        assert cluster.whole["bus-server.json"] == begun["bus-server.json"]
    assert cluster.running["nats"]["bus-creds"] == cluster.running["relay"]["bus-creds"]
    assert "bus-next.json" not in cluster.whole


def test_new_stamp_keys_come_with_the_one_before_and_forget_older_ones():
    cluster = Cluster()
    seen = []
    for _ in range(3):
        seen.append(cluster.whole["stamp-keys"].split()[0])
        logins.rotate_stamp_keys(cluster)
    keys = cluster.whole["stamp-keys"].split()
    assert keys[1:] == [seen[-1]]
    assert keys[0] not in seen


def test_what_leaves_something_to_do_is_rotated_only_when_it_is_named():
    assert "registry-key" not in {each.name for each in catalogue.chosen([])}
    assert [each.name for each in catalogue.chosen(["registry-key"])] == ["registry-key"]


def test_a_secret_that_is_not_covered_is_refused_with_the_reason():
    with pytest.raises(WrongUsage, match="cannot encrypt anew"):
        catalogue.chosen(["prefect-encryption-key"])


def test_what_is_not_ours_to_rotate_is_named_with_whose_it_is():
    here, not_covered = catalogue.divided(catalogue.chosen([]), lambda _: False)
    assert not {"postgres", "forge-key", "forge-admin-token"} & {each.name for each in here}
    assert "postgres.password_file" in not_covered["postgres"]
    assert "forge.key_file" in not_covered["forge-key"]
    here, not_covered = catalogue.divided(catalogue.chosen([]), lambda _: True)
    assert {"postgres", "forge-key"} <= {each.name for each in here}
    assert not_covered.keys() == catalogue.NOT_COVERED.keys()


def test_the_previews_certificate_is_named_among_what_is_not_covered():
    for name in ("previews-tls", "previews-authority"):
        with pytest.raises(WrongUsage, match=name):
            catalogue.chosen([name])
