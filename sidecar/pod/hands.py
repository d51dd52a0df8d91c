"""The sidecar's hands in the agent's zone: the only way in which it touches what is the agent's.

On one machine the zone is a directory beside it (`sidecar.pod.local`); in a pod it is another container,
reached through the bridge (`sidecar.pod.bridged`). Whatever comes back is the agent's word: bounded here,
believed by nobody.

    ZoneFailed       it was refused or could not be done there; repeating does not help
    ZoneAway         the bridge cannot be reached; it may be back soon
"""

from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sidecar.bridge.packing import Selection
from sidecar.domain.errors import Refused, Unavailable
from sidecar.pod.acp.pipes import Readable, Writable


class ZoneFailed(Refused):
    """It could not be done in the agent's zone."""

    code = "zone_failed"


class ZoneAway(Unavailable):
    """The agent's container does not answer."""

    code = "zone_away"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """`out` is the beginning of what was printed, `err` the end of what was complained; both bounded."""

    code: int
    out: bytes
    err: bytes


class LiveRuntime(Protocol):
    """One life of the runtime: its output, its input, its end. `pid` is for logs."""

    pid: int

    @property
    def reader(self) -> Readable: ...

    @property
    def writer(self) -> Writable: ...

    @property
    def how_it_ended(self) -> str: ...

    def complaints(self) -> str:
        """The last it wrote to standard error, some kilobytes."""
        ...

    async def drain(self) -> None:
        """Reads its complaints until they end. To be run all its life, or everything else stands still."""
        ...

    async def wait(self) -> None:
        """Returns when it has ended, or nobody can know any more."""
        ...

    async def end(self) -> None:
        """Asks it, waits some seconds, then kills it and everything it has started. Repeatable."""
        ...

    def kill(self) -> None:
        """At once, without waiting: for a lost lease."""
        ...


class Keeping(Protocol):
    """What a zone gives away to be kept, and takes back."""

    def save(self, selection: Selection, cap_bytes: int) -> AsyncGenerator[bytes]:
        """A tar of what is there of it; a zone that is away is not waited for. Close it when done.

        Raises ZoneFailed above the cap.
        """
        ...

    async def restore(self, root: Path, stream: AsyncIterable[bytes], cap_bytes: int) -> None:
        """Extracts such a tar into `root`, which is new, and nowhere else; all of it, or `root` is not there."""
        ...


class Hands(Keeping, Protocol):
    """Paths are absolute and chosen by the sidecar. Every verb raises ZoneFailed and ZoneAway.

    `PATH` in an environment goes before the zone's own; nothing else is inherited there.
    """

    @property
    def python(self) -> str:
        """How the zone's processes call the interpreter that has this package."""
        ...

    async def make_folders(self, *paths: Path) -> None: ...

    async def remove(self, path: Path) -> None:
        """A tree, a file or nothing."""
        ...

    async def put(self, path: Path, text: str, mode: int) -> None:
        """Replaces the file whole; a link in its place is not followed."""
        ...

    async def exists(self, path: Path) -> bool: ...

    async def install(self, part: Path, path: Path) -> None:
        """Renames `part` to `path`; what stands there, unless an empty directory, is moved aside."""
        ...

    async def run(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> Finished:
        """Runs a program to its end. It is dead when this raises TimeoutError or is cancelled."""
        ...

    async def start(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> LiveRuntime:
        """Starts the runtime. Raises RuntimeExited when there is no such program."""
        ...
