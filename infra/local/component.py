"""What the supervisor needs to know about one part of the stack, as data."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Probe = Callable[[], Awaitable[bool]]
Step = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """A step that has nothing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One process group. `prepare` runs before each start, `settle` after each time it became ready.

    `after` names what it uses: ready before it starts (unless it `waits_itself`, to load meanwhile), and
    stopped after it. `sweeps` says that whatever it started dies with it: what is still there when it is
    started again is ended.
    """

    name: str
    argv: tuple[str, ...]
    directory: Path
    is_ready: Probe
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    after: tuple[str, ...] = ()
    waits_itself: bool = False
    prepare: Step = nothing
    settle: Step = nothing
    url: str = ""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 5.0
    start_seconds: float = 60.0
    sweeps: bool = False
