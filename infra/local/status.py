"""What the supervisor says about its components, in `run/status.json`, for `x1 status` and `x1 up`."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from infra.local import lock
from infra.local.errors import StackNotUp
from infra.local.files import read_json, write_whole
from infra.local.state import StateDir

FAILURE = "failure.json"
"""Under `run/`: the error that ended a supervisor, for the `x1 up` that started it."""


class Phase(StrEnum):
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


class ComponentState(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(slots=True, kw_only=True)
class ComponentStatus:
    name: str
    state: ComponentState
    pid: int | None
    url: str
    log: str
    reason: str = ""
    restarts: int = 0
    ready_seconds: float | None = None


class StatusBoard:
    """Written whole at each change. `failure` is the one line that `x1 up` shows when it gives up.

    A disk that takes no status is no reason to end a stack: it is told, and the next change tries again.
    """

    def __init__(
        self,
        state: StateDir,
        urls: Mapping[str, str],
        listener: "Callable[[StatusBoard], None] | None" = None,
    ) -> None:
        self._state = state
        self._listener = listener
        self._urls = dict(urls)
        self.phase = Phase.STARTING
        self.components: dict[str, ComponentStatus] = {}
        self.notices: list[str] = []
        self.failure = ""

    def publish(self) -> None:
        try:
            write_whole(self._state.run("status.json"), json.dumps(self.whole(), indent=2))
        except OSError as error:
            sys.stderr.write(f"the status could not be written: {error}\n")
        if self._listener is not None:
            self._listener(self)

    def whole(self) -> dict[str, Any]:
        return {
            "state_dir": str(self._state.root),
            "phase": self.phase,
            "components": [asdict(component) for component in self.components.values()],
            "urls": self._urls,
            "operator_token_file": str(self._state.secret("operator-token")),
            "notices": self.notices,
            "failure": self.failure,
        }


def read(state: StateDir) -> dict[str, Any]:
    """The last published status; its parts count as stopped when no supervisor lives."""
    status = read_json(state.run("status.json")) or _empty(state)
    if lock.holder(state) is None:
        if status["phase"] != Phase.FAILED:
            status["phase"] = Phase.STOPPED
        for component in status["components"]:
            component.update(state=ComponentState.STOPPED, pid=None)
    return status


def read_running(state: StateDir) -> dict[str, Any]:
    """Raises StackNotUp: what is said about a stack that is down points at nothing."""
    if lock.holder(state) is None:
        raise StackNotUp(state.root)
    return read(state)


def _empty(state: StateDir) -> dict[str, Any]:
    return {
        "state_dir": str(state.root),
        "phase": Phase.STOPPED,
        "components": [],
        "urls": {},
        "operator_token_file": str(state.secret("operator-token")),
        "notices": [],
        "failure": "",
    }
