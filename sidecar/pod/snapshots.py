"""What outlives a pod: the agent's trees and its runtime's files, saved through the relay and found again.

The content goes from the agent's bridge to the relay as it comes, and back: this process neither keeps nor opens
it, as the agent wrote it. It only measures: what does not have the digest that was kept is no state. What the
sidecar itself must remember (the conversation's id, how the last turn ended) goes beside it, as notes.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from os.path import commonpath
from pathlib import Path
from typing import Any, Final

import structlog
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from sidecar.bridge.packing import Selection
from sidecar.client.relay import RelayClient
from sidecar.domain.errors import (
    ArtifactUnknown,
    LeaseLost,
    Refused,
    SessionEnded,
    Unavailable,
    X1Error,
)
from sidecar.domain.event import EventType
from sidecar.pod.hands import ZoneFailed
from sidecar.pod.notes import Notes
from sidecar.pod.zone import Zone
from sidecar.wire.state import Kind, SnapshotModel

SAVE_SECONDS: Final = 120.0
"""A turn that has ended waits so long for its receipt at most."""
PARK_PATIENCE_SECONDS: Final = 60.0
"""For whatever is away: after parking there is no pod any more to save from."""
RESTORE_PATIENCE_SECONDS: Final = 300.0
NEXT: Final[Mapping[Kind, str]] = {
    "turn": "it is tried again after the next turn and before parking",
    "park": "what was saved before is what the next activation finds",
    "stop": "what was saved before is what the next activation finds",
}

Record = Callable[[EventType, dict[str, Any]], Awaitable[None]]

log = structlog.stdlib.get_logger(__name__)


class StateDamaged(Refused):
    """What came back is not what was saved."""

    code = "state_damaged"


class Snapshots:
    """`environment` is for git in the zone; `written` names what is written anew into HOME at each start."""

    def __init__(
        self,
        *,
        relay: RelayClient,
        zone: Zone,
        notes: Notes,
        record: Record,
        environment: Callable[[], Mapping[str, str]],
        written: Sequence[str] = (),
    ) -> None:
        self._relay = relay
        self._zone = zone
        self._notes = notes
        self._record = record
        self._environment = environment
        self._root = Path(commonpath([zone.workspace_dir, zone.state_dir]))
        self._without = [*zone.rewritten, *(str(zone.home / each) for each in written)]
        self._cap: int | None = None
        self._is_over = False
        self._last: str | None = None

    async def restore(self) -> None:
        """Before the checkout. Raises Unavailable when neither relay nor bridge answers for long, LeaseLost."""
        async for attempt in _patience(RESTORE_PATIENCE_SECONDS):
            with attempt:
                await self._restore()

    def close(self) -> None:
        """Nothing is asked any more: the activation is over."""
        self._is_over = True

    async def save(self, kind: Kind, turn: int, seconds: float = SAVE_SECONDS) -> None:
        """A failure is an event and nothing else. Raises LeaseLost, SessionEnded."""
        if self._cap is None:
            return
        try:
            async with asyncio.timeout(seconds):
                async for attempt in _patience(PARK_PATIENCE_SECONDS if kind == "park" else 0):
                    with attempt:
                        await self._save(kind, turn, self._cap)
        except (LeaseLost, SessionEnded):
            raise
        except TimeoutError:
            await self._complain(kind, f"it took more than {seconds:g} s")
        except X1Error as error:
            await self._complain(kind, str(error))

    async def _save(self, kind: Kind, turn: int, cap_bytes: int) -> None:
        # After a turn the conversation has always grown; before parking nothing may have happened.
        is_known = kind != "turn" and self._last is not None
        if not (is_known and await self._digest(cap_bytes) == self._last):
            self._last = await self._store(cap_bytes)
        try:
            notes = await asyncio.to_thread(self._notes.read)
            await self._relay.keep_state(self._last or "", turn=turn, kind=kind, notes=notes)
        except ArtifactUnknown:
            self._last = None
            raise

    async def _store(self, cap_bytes: int) -> str:
        passing = _Measure()
        async with aclosing(self._content(cap_bytes)) as content:
            stored = await self._relay.store_content(passing.through(content))
        if (stored.digest, stored.size) != (passing.digest, passing.size):
            raise StateDamaged("what was stored is not what was sent")
        return stored.digest

    async def _digest(self, cap_bytes: int) -> str:
        passing = _Measure()
        async with aclosing(self._content(cap_bytes)) as content:
            async for _ in passing.through(content):
                pass
        return passing.digest

    def _content(self, cap_bytes: int) -> AsyncGenerator[bytes]:
        selection = Selection(
            root=self._root,
            names=[self._name(self._zone.workspace_dir), self._name(self._zone.state_dir)],
            without=[self._name(Path(each)) for each in self._without],
            env=self._environment(),
        )
        return self._zone.hands.save(selection, cap_bytes)

    async def _restore(self) -> None:
        if self._is_over:
            raise LeaseLost("the activation is over")
        state = await self._relay.state()
        if state.snapshot is not None and not self._notes.is_begun:
            try:
                await self._bring_back(state.snapshot)
                log.info("state restored", turn=state.snapshot.turn, size=state.snapshot.size)
            except (ZoneFailed, StateDamaged, ArtifactUnknown) as error:
                await self._begin_anew(str(error))
        self._notes.begin()
        self._cap = state.cap_bytes

    async def _bring_back(self, snapshot: SnapshotModel) -> None:
        """The zone's folders are replaced only by what has come whole."""
        hands, zone = self._zone.hands, self._zone
        part = self._root / f".x1-restored-{secrets.token_hex(4)}"
        async with aclosing(self._checked(snapshot)) as content:
            await hands.restore(part, content, snapshot.size)
        for each in (zone.workspace_dir, zone.state_dir):
            await hands.remove(each)
            await hands.install(part / self._name(each), each)
        await hands.remove(part)
        await zone.prepare()
        self._notes.adopt(snapshot.notes)

    async def _checked(self, snapshot: SnapshotModel) -> AsyncGenerator[bytes]:
        passing = _Measure()
        async with aclosing(self._relay.state_content()) as content:
            async for chunk in passing.through(content):
                if passing.size > snapshot.size:
                    raise StateDamaged
                yield chunk
        if passing.digest != snapshot.digest:
            raise StateDamaged

    async def _begin_anew(self, reason: str) -> None:
        for each in (self._zone.workspace_dir, self._zone.state_dir):
            await self._zone.hands.remove(each)
        await self._zone.prepare()
        log.error("saved state is lost", reason=reason)
        told = {"what": "state_lost", "text": reason, "next": "begins from the repositories"}
        await self._record(EventType.AGENT_ERROR, told)

    async def _complain(self, kind: Kind, reason: str) -> None:
        log.warning("state not saved", kind=kind, reason=reason)
        told = {"what": "state_not_saved", "text": reason, "next": NEXT[kind]}
        await self._record(EventType.AGENT_ERROR, told)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._root))


def _patience(seconds: float) -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception_type(Unavailable),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        stop=stop_after_delay(seconds),
        reraise=True,
    )


class _Measure:
    """What a stream came to that went through it."""

    def __init__(self) -> None:
        self._seen = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return self._seen.hexdigest()

    async def through(self, stream: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
        async for chunk in stream:
            self._seen.update(chunk)
            self.size += len(chunk)
            yield chunk
