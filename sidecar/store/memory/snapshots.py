"""Snapshots in memory."""

from collections.abc import Collection
from datetime import datetime

from sidecar.domain.ids import SessionId
from sidecar.domain.snapshot import Snapshot
from sidecar.store.memory.state import State


class MemorySnapshots:
    def __init__(self, state: State) -> None:
        self._state = state

    async def put(self, snapshot: Snapshot) -> None:
        self._state.snapshots[snapshot.session_id] = snapshot

    async def of_session(self, session_id: SessionId) -> Snapshot | None:
        return self._state.snapshots.get(session_id)

    async def digests(self) -> Collection[str]:
        return {each.digest for each in self._state.snapshots.values()}

    async def drop_ended(self, before: datetime) -> int:
        over = [each for each in self._state.snapshots if _ended_before(self._state, each, before)]
        for each in over:
            del self._state.snapshots[each]
        return len(over)


def _ended_before(state: State, session_id: str, before: datetime) -> bool:
    ended_at = state.sessions[session_id].ended_at
    return ended_at is not None and ended_at < before
