"""Every secret of the installation, searched for wherever somebody can read without reading Secrets.

It is searched while a session lives, after a preview was built in each workspace that holds a secret of its operator's,
and with what passed meanwhile: the Jobs, Secrets and logs of a build last for seconds.
"""

import base64
import hashlib
import json
import secrets

import canaries
import pytest
from clusters import SYSTEM, kubectl, listed, run, until, workspaces
from outside import Outside
from shops import hired

from sidecar.domain.workspace import DEFAULT, previews_namespace

pytestmark = pytest.mark.timeout(900)
NAMED = ("secret", "x1-named", "-n", SYSTEM)
CANARY = "X1_CANARY"
"""As the test bed's settings declare it for the shop's repository."""
PREVIEWS = tuple(map(previews_namespace, workspaces()))
MOUNT_SECONDS = 180
"""The kubelet looks at optional Secrets once a minute or so."""


@pytest.fixture(scope="module")
def canary(cluster):
    """A secret that an operator gives to previews of one repository."""
    value = f"canary-{secrets.token_hex(16)}"
    words = ("kubectl", "create", "secret", "generic", "x1-named", "-n", SYSTEM)
    if not listed("secret", "-n", SYSTEM, "--field-selector=metadata.name=x1-named"):
        run(*words)
    _say({"data": {CANARY: base64.b64encode(value.encode()).decode()}})
    until(lambda: _read() == {value}, "the canary at each relay", MOUNT_SECONDS)
    yield value
    _say({"data": {CANARY: None}})


def _say(change) -> None:
    """Over stdin: what is in an argument is in the process table."""
    kubectl("patch", *NAMED, "--patch-file", "/dev/stdin", given=json.dumps(change))


def _read() -> set[str]:
    path = f"/run/secrets/x1-named/{CANARY}"
    code = f"import pathlib as p; f = p.Path('{path}'); print(f.read_text() if f.exists() else '')"
    relays = listed("pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=relay")
    return {
        kubectl("exec", "-n", SYSTEM, each["metadata"]["name"], "--", "python", "-c", code).strip()
        for each in relays
    }


@pytest.fixture(scope="module")
def shopkeeper(cluster):
    with hired(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def overheard(canary):
    with canaries.overhearing() as found:
        yield found


@pytest.fixture(scope="module")
def shown_abroad(cluster, overheard):
    """A shop built and shown in each other workspace, and closed: a small node has no room for all at once."""
    for each in {*workspaces()} - {DEFAULT}:
        with hired(cluster, each) as keeper:
            keeper.opened("keyed")


@pytest.fixture(scope="module")
def searched(cluster, canary, overheard, shown_abroad, shopkeeper):
    """A shop built and shown while everything is overheard; then all places, with its keeper still there."""
    shop = shopkeeper.opened("keyed")
    assert cluster.pods(shopkeeper.session_id), "the session does not live"
    return shop, overheard.secrets(), canaries.places(cluster, overheard)


def test_no_secret_stands_where_it_can_be_read_without_reading_secrets(searched):
    _, wanted, places = searched
    assert canaries.leaks(wanted, places) == []


def test_the_search_knows_the_secrets_that_matter(searched, canary):
    """The control of what is searched for: the long-lived ones, and those that lasted as long as a build."""
    _, wanted, _ = searched
    names = {each.partition(" ")[0] for each in wanted}
    for each in (
        "x1-system/x1-relay/operator-token",
        "x1-system/x1-relay/session-key.pem",
        "x1-system/x1-relay/forge-key.pem",
        "x1-system/x1-relay/bus-creds",
        "x1-system/x1-relay/postgres-password",
        "x1-system/x1-prefect/encryption-key",
        "x1-sessions/x1-prefect-client/auth-string",
        "x1-operations/x1-prefect-client/auth-string",
        "x1-gateway/previews-tls/tls.key",
        "x1-gateway/previews-authority/tls.key",
        *(f"{space}/x1-stamps/keys" for space in PREVIEWS),
    ):
        assert each in names, each
    pulls = {each.partition("/")[0] for each in names if each.endswith("/.dockerconfigjson")}
    assert pulls >= {*PREVIEWS}
    builds = [each for each in names if each.startswith("x1-builds/build-")]
    assert {each.rpartition("/")[2] for each in builds} == {"gitconfig", "config.json"}
    held = {name.split("/")[0] for name, value in wanted.items() if value == canary}
    assert held == {SYSTEM, *PREVIEWS}


def test_what_may_be_seen_is_found_by_the_same_search(searched, cluster):
    """The control of where it is searched: something that may be seen there is found in each place."""
    shop, _, places = searched
    visible = {
        "pods": shop.name,
        "Jobs": "x1flows.io/operation",
        "events": "x1-builds",
        "other objects": shop.name,
        "logs": f"the shop {shop.name} is open",
        "logs of builds": f"the shop {shop.name} is built",
        "Prefect's flow_runs": "shopkeeper",
        "Prefect's task_runs": "task_key",
        "Prefect's deployments": "shopkeeper",
        "Prefect's block_documents": "shopkeeper",
        "Prefect's work_pools": "x1-prefect-client",
        "Prefect's logs": "flow_run_id",
        "Prefect's artifacts": shop.url,
        "Prefect's events": "shopkeeper",
        "the relay's previews": shop.name,
        "the relay's audit": shop.name,
        "the relay's agents": "shopkeeper",
        "the relay's events": shop.name,
        "the relay's wakes": shop.name,
        "the relay's pages": shop.name,
        "the relay's build logs of previews": f"the shop {shop.name} is built",
        "the relay's app logs of previews": f"the shop {shop.name} is open",
    }
    found = canaries.leaks(visible, {place: places[place] for place in visible})
    assert [place for place in visible if f"{place} in {place}" not in found] == []


def test_the_preview_was_given_its_secret(searched, canary, tmp_path):
    """The control of the canary: it was there to leak. The page shows its digest."""
    shop, _, _ = searched
    answer = Outside.with_authority_in(tmp_path).asked(shop.url)
    assert hashlib.sha256(canary.encode()).hexdigest() in answer.text
