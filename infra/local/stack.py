"""One prepared stack: its directory, ports, identity and the environment that every component gets."""

import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local import lock, ports, secrets
from infra.local.files import read_json, write_whole
from infra.local.ports import HOST
from infra.local.processes import STACK_MARK
from infra.local.state import StateDir

PASSED_ON = ("HOME", "LANG", "LOGNAME", "SHELL", "TMPDIR", "TZ", "USER")
AUTHORITIES = ("CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE")
PASSED_ON_PREFIXES = ("LC_", "SSL_CERT_", "NPM_CONFIG_", "PIP_", "UV_", "XDG_")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
SECRET_LOOKS = ("TOKEN", "PASSWORD", "SECRET", "_AUTH", "KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    state: StateDir
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    notices: tuple[str, ...]

    @property
    def urls(self) -> dict[str, str]:
        def at(name: str) -> str:
            return f"http://{HOST}:{self.ports[name]}"

        return {
            "relay": at("relay"),
            "prefect": at("prefect"),
            "forge": at("forge"),
            "previews": f"http://{{label}}.localhost:{self.ports['previews']}",
            "nats": f"nats://{HOST}:{self.ports['nats']}",
        }

    @property
    def prefect_api_url(self) -> str:
        return f"{self.urls['prefect']}/api"


async def prepare(state: StateDir) -> Stack:
    """Chooses what is chosen once. Raises OSError when the directory cannot be written."""
    chosen, notices = ports.choose(state.run("ports.json"))
    secrets.generate(state)
    environment = base_environment(os.environ) | {STACK_MARK: identity(state)}
    return Stack(state=state, ports=chosen, environment=environment, notices=tuple(notices))


def running(state: StateDir) -> Stack | None:
    """The stack as a running supervisor prepared it, for what is started beside it; None when none runs."""
    if lock.holder(state) is None:
        return None
    environment = base_environment(os.environ)
    chosen = read_json(state.run("ports.json"))
    return Stack(state=state, ports=chosen, environment=environment, notices=())


def identity(state: StateDir) -> str:
    """A name for this directory's processes, made once."""
    path = state.run("id")
    if not path.exists():
        write_whole(path, uuid.uuid4().hex)
    return path.read_text().strip()


def base_environment(source: Mapping[str, str]) -> dict[str, str]:
    """What a component may inherit: by list, so that a key in a person's shell never reaches an agent."""
    passed = {name: value for name, value in source.items() if _is_passed_on(name)}
    for name in PROXIES:
        for spelt in (name, name.lower()):
            if source.get(spelt):
                passed[spelt] = source[spelt]
    direct = f"{HOST},localhost,.localhost"
    for spelt in ("NO_PROXY", "no_proxy"):
        passed[spelt] = ",".join(part for part in (source.get(spelt), direct) if part)
    passed["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), source.get("PATH", os.defpath)]
    )
    return passed | {"PYTHONUNBUFFERED": "1", "DO_NOT_TRACK": "1"}


def _is_passed_on(name: str) -> bool:
    upper = name.upper()
    if any(look in upper for look in SECRET_LOOKS):
        return False
    return upper in (*PASSED_ON, *AUTHORITIES) or upper.startswith(PASSED_ON_PREFIXES)
