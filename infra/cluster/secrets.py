"""The secrets of an installation: made once, kept in the cluster alone, never printed and never in an argument.

`x1-relay` holds the whole set. MAKERS add to it what is missing; PARTS say which other objects hold how much of
it, so those can be made again at any time. A new secret is one function in each list.
"""

import base64
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

from infra.cluster import registry_keys
from infra.cluster.kubectl import Kubectl
from infra.local import secrets as local
from infra.local.components import natskeys
from infra.local.state import StateDir
from sidecar.domain.workspace import DEFAULT, previews_namespace

SYSTEM: Final = "x1-system"
SESSIONS: Final = "x1-sessions"
OPERATIONS: Final = "x1-operations"
BUILDS: Final = "x1-builds"
WHOLE: Final = "x1-relay"
PULL: Final = "x1-image-login"
PULL_LOGIN: Final = "pull-login.json"
STAMPS: Final = "x1-stamps"
STAMP_KEYS: Final = "stamp-keys"
"""A key a line, the newest first."""
WORKSPACES: Final = "workspaces"
"""Their names, a space between: no secret, but what says where parts of the whole lie."""
POSTGRES: Final = "x1@postgres.x1-system.svc:5432"
LOCAL_NAMES: Final = (
    "prefect-auth",
    "prefect-encryption-key",
    "operator-token",
    "forge-admin-token",
    "postgres-password",
    "session-key.pem",
    "forge-key.pem",
    "forge-public.pem",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An object that holds some of the whole. A ConfigMap is for what is no secret, such as a CA's certificate."""

    name: str
    namespace: str
    content: Mapping[str, str]
    kind: Literal["Secret", "ConfigMap"] = "Secret"
    type: str = "Opaque"
    labels: Mapping[str, str] | None = None

    def manifest(self) -> dict[str, Any]:
        labels = {"app.kubernetes.io/part-of": "x1flows", **(self.labels or {})}
        metadata = {"name": self.name, "namespace": self.namespace, "labels": labels}
        head = {"apiVersion": "v1", "kind": self.kind, "metadata": metadata}
        if self.kind == "ConfigMap":
            return {**head, "data": dict(self.content)}
        encoded = {key: _encoded(value) for key, value in self.content.items()}
        return {**head, "type": self.type, "data": encoded}


Whole = Mapping[str, str]
Maker = Callable[[Whole], Mapping[str, str]]
"""Given what is there, makes what is missing. What stands is kept, whatever a maker says."""
Divider = Callable[[Whole], Iterator[Part]]


def ensure(kubectl: Kubectl, given: Whole | None = None) -> list[str]:
    """Makes those that are missing; what stands stays but for the `given`. Returns the changed ones' names."""
    before = read(kubectl, WHOLE)
    return put(kubectl, {**(before or {}), **(given or {})})


def put(kubectl: Kubectl, whole: Whole) -> list[str]:
    """Makes of `whole` what it is to be in the cluster. Returns the changed ones' names."""
    changed = [
        part for part in parts(completed(whole)) if _found(kubectl, part) != dict(part.content)
    ]
    for part in changed:
        kubectl.apply(json.dumps(part.manifest()))
    return [f"{part.kind}/{part.name}" for part in changed]


def completed(whole: Whole) -> dict[str, str]:
    """`whole`, and what the makers say is missing in it."""
    full = dict(whole)
    for make in MAKERS:
        full = {**make(full), **full}
    return full


def parts(whole: Whole) -> list[Part]:
    """The whole itself first: whoever is interrupted after it has lost nothing."""
    own = Part(name=WHOLE, namespace=SYSTEM, content=whole)
    return [own, *(part for divide in PARTS for part in divide(whole))]


def read(kubectl: Kubectl, name: str, namespace: str = SYSTEM) -> dict[str, str] | None:
    return _content(kubectl.get("secret", name, namespace), "Secret")


def _found(kubectl: Kubectl, part: Part) -> dict[str, str] | None:
    return _content(kubectl.get(part.kind.lower(), part.name, part.namespace), part.kind)


def _content(found: Mapping[str, Any] | None, kind: str) -> dict[str, str] | None:
    if found is None:
        return None
    data = found.get("data", {})
    return dict(data) if kind == "ConfigMap" else {key: _decoded(data[key]) for key in data}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()


def _addresses(_: Whole) -> Mapping[str, str]:
    return {"postgres-address": POSTGRES}


def _default_workspace(_: Whole) -> Mapping[str, str]:
    return {WORKSPACES: DEFAULT}


def _own_secrets(whole: Whole) -> Mapping[str, str]:
    if whole.keys() >= {*LOCAL_NAMES}:
        return {}
    with tempfile.TemporaryDirectory(prefix="x1-secrets-") as scratch:
        state = StateDir(root=Path(scratch))
        state.create()
        local.generate(state)
        return {name: local.read(state, name) + "\n" for name in LOCAL_NAMES}


def _bus_keys(whole: Whole) -> Mapping[str, str]:
    return {} if "bus-server.json" in whole else bus_keys()


def bus_keys(account_id: str | None = None, system_id: str | None = None) -> dict[str, str]:
    """New keys of the bus; for the accounts that are there, when these are named."""
    made = natskeys.make(account_id, system_id)
    return {
        "bus-account-seed": made.account_signer,
        "bus-creds": made.relay_creds,
        "bus-server.json": json.dumps(asdict(made.server)),
    }


def _database(whole: Whole) -> Iterator[Part]:
    password = whole["postgres-password"].strip()
    yield Part(name="x1-postgres", namespace=SYSTEM, content={"password": password})


def _profile(auth: str) -> str:
    """A file of profiles: Prefect logs in by it, and its environment holds no password.

    A string of JSON is one of TOML: https://docs.prefect.io/v3/concepts/settings-and-profiles
    """
    return f'active = "x1"\n\n[profiles.x1]\nPREFECT_API_AUTH_STRING = {json.dumps(auth)}\n'


def _prefect(whole: Whole) -> Iterator[Part]:
    auth, password = whole["prefect-auth"].strip(), whole["postgres-password"].strip()
    user, _, server = whole["postgres-address"].partition("@")
    login = {"auth-string": auth, "profiles.toml": _profile(auth)}
    content = {
        **login,
        "encryption-key": whole["prefect-encryption-key"].strip(),
        "connection-url": f"postgresql+asyncpg://{user}:{quote(password, safe='')}@{server}/prefect",
    }
    yield Part(name="x1-prefect", namespace=SYSTEM, content=content)
    for namespace in (SESSIONS, OPERATIONS):
        # `auth-string` is for pods by the templates of 0.1, which an upgrade replaces after this.
        yield Part(name="x1-prefect-client", namespace=namespace, content=login)


def _bus(whole: Whole) -> Iterator[Part]:
    config = _nats(json.loads(whole["bus-server.json"]))
    yield Part(name="x1-nats", namespace=SYSTEM, content={"keys.conf": config})


def _forge(whole: Whole) -> Iterator[Part]:
    content = {"public.pem": whole["forge-public.pem"], "admin-token": whole["forge-admin-token"]}
    yield Part(name="x1-forge", namespace=SYSTEM, content=content)


def _registry(whole: Whole) -> Iterator[Part]:
    content = {registry_keys.CERTIFICATE: whole[registry_keys.CERTIFICATE]}
    yield Part(name="x1-registry", namespace=SYSTEM, content=content)


def _pulling(whole: Whole) -> Iterator[Part]:
    """A login for the images' registry, wherever a pod of our images runs; there when one was given."""
    if PULL_LOGIN in whole:
        content = {".dockerconfigjson": whole[PULL_LOGIN]}
        kind = "kubernetes.io/dockerconfigjson"
        for namespace in (SYSTEM, SESSIONS, OPERATIONS, BUILDS, *_previews(whole)):
            yield Part(name=PULL, namespace=namespace, content=content, type=kind)


def _stamp_keys(_: Whole) -> Mapping[str, str]:
    return {STAMP_KEYS: local.new_token() + "\n"}


def _stamps(whole: Whole) -> Iterator[Part]:
    """For the services that stamp, and for the flows that ask them."""
    for namespace in (*_previews(whole), OPERATIONS):
        yield Part(name=STAMPS, namespace=namespace, content={"keys": whole[STAMP_KEYS]})


def _previews(whole: Whole) -> list[str]:
    """Where previews run."""
    return [previews_namespace(each) for each in whole.get(WORKSPACES, DEFAULT).split()]


def _nats(keys: Mapping[str, str]) -> str:
    """nats-server reads JSON as its own configuration language; the rest of it is a ConfigMap's."""
    accounts = ((keys["account_id"], keys["account_jwt"]), (keys["system_id"], keys["system_jwt"]))
    return json.dumps(
        {
            "operator": keys["operator_jwt"],
            "resolver": "MEMORY",
            "resolver_preload": dict(accounts),
            "system_account": keys["system_id"],
        },
        indent=2,
    )


MAKERS: Final[tuple[Maker, ...]] = (
    _addresses,
    _default_workspace,
    _own_secrets,
    _bus_keys,
    _stamp_keys,
    registry_keys.make,
)
PARTS: Final[tuple[Divider, ...]] = (
    *(_database, _prefect, _bus, _forge),
    *(_registry, _stamps, _pulling),
)
