"""A runtime profile: what it takes to start one coding-agent CLI, as data in `profiles/<name>.yaml`.

Placeholders in argv, env and file contents: {python} this interpreter, {home} the runtime's HOME,
{state_dir}, {workspace_dir}, {model}, {sidecar_url}, {virtual_key}, {instructions}. A key whose value is
empty after filling is left out of the environment.
"""

import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import yaml
from pydantic import Field

from sidecar.domain.errors import InvalidArguments
from sidecar.wire.model import StrictModel

SCRIPT: Final = "script.yaml"
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


class Profile(StrictModel):
    argv: list[str] = Field(min_length=1)
    env: dict[str, str] = {}
    files: dict[str, str] = {}
    """Path below the runtime's HOME → content, written before each start."""
    instructions_file: str | None = None
    """Path below HOME where this CLI reads its user's standing instructions."""
    authenticate: str | None = None
    mode: str | None = None
    """Set after new and load: the mode in which the CLI asks nobody."""
    meta: dict[str, Any] = {}
    """`_meta` of session/new."""
    script: bool = False
    """Wants the agent's script in {home}/script.yaml."""
    initialize_seconds: float = 60
    session_seconds: float = 60
    silence_seconds: float = 3600
    """Without a single message in a turn for so long, the turn is given up."""


class Places(StrictModel):
    """What placeholders stand for."""

    home: str
    state_dir: str
    workspace_dir: str
    sidecar_url: str
    virtual_key: str
    model: str = ""
    instructions: str = ""
    python: str = sys.executable


def load(name: str) -> Profile:
    """Raises InvalidArguments for a runtime without a profile."""
    if not _NAME.fullmatch(name) or name not in names():
        raise InvalidArguments(f"no runtime profile {name!r}; there are {', '.join(names())}")
    text = (_folder() / f"{name}.yaml").read_text()
    return Profile.model_validate(yaml.safe_load(text))


def written(profile: Profile) -> list[str]:
    """The paths below HOME that are written before each start."""
    own = [profile.instructions_file] if profile.instructions_file else []
    return [*profile.files, *own, *([SCRIPT] if profile.script else [])]


@cache
def names() -> tuple[str, ...]:
    files = (each.name for each in _folder().iterdir() if each.name.endswith(".yaml"))
    return tuple(sorted(name.removesuffix(".yaml") for name in files))


def filled(text: str, places: Places) -> str:
    """Unknown placeholders stay as they are: JSON in a profile has braces too."""
    known: Mapping[str, str] = places.model_dump()
    return _PLACEHOLDER.sub(lambda match: known.get(match[1], match[0]), text)


def _folder() -> Any:
    return resources.files("sidecar.pod.acp") / "profiles"
