"""Transactions in memory: one at a time, on a copy that replaces the state when it commits."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sidecar.domain.errors import StoreUnavailable
from sidecar.store.memory.people import (
    MemoryAgents,
    MemoryAudit,
    MemoryGrants,
    MemoryItems,
    MemoryRequests,
)
from sidecar.store.memory.previews import (
    MemoryEffects,
    MemoryEvidence,
    MemoryMerges,
    MemoryOperations,
    MemoryPreviews,
)
from sidecar.store.memory.sessions import (
    MemoryActivations,
    MemoryEvents,
    MemorySessions,
    MemoryWakes,
)
from sidecar.store.memory.snapshots import MemorySnapshots
from sidecar.store.memory.state import State


@dataclass(frozen=True, slots=True)
class MemoryTransaction:
    sessions: MemorySessions
    activations: MemoryActivations
    wakes: MemoryWakes
    events: MemoryEvents
    agents: MemoryAgents
    grants: MemoryGrants
    previews: MemoryPreviews
    operations: MemoryOperations
    evidence: MemoryEvidence
    merges: MemoryMerges
    effects: MemoryEffects
    snapshots: MemorySnapshots
    requests: MemoryRequests
    items: MemoryItems
    audit: MemoryAudit

    @classmethod
    def on(cls, state: State) -> "MemoryTransaction":
        return cls(
            sessions=MemorySessions(state),
            activations=MemoryActivations(state),
            wakes=MemoryWakes(state),
            events=MemoryEvents(state),
            agents=MemoryAgents(state),
            grants=MemoryGrants(state),
            previews=MemoryPreviews(state),
            operations=MemoryOperations(state),
            evidence=MemoryEvidence(state),
            merges=MemoryMerges(state),
            effects=MemoryEffects(state),
            snapshots=MemorySnapshots(state),
            requests=MemoryRequests(state),
            items=MemoryItems(state),
            audit=MemoryAudit(state),
        )


class MemoryStore:
    """`is_away` makes every call raise StoreUnavailable, as a database that is down does."""

    def __init__(self) -> None:
        self._state = State()
        self._turn = asyncio.Lock()
        self._loops: dict[str, tuple[str, float]] = {}
        self.is_away = False

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[MemoryTransaction]:
        self._answer()
        async with self._turn:
            working = self._state.copy()
            yield MemoryTransaction.on(working)
            self._answer()
            self._state = working

    async def take_loop(self, name: str, holder: str, ttl: timedelta) -> bool:
        self._answer()
        now = time.monotonic()
        standing, until = self._loops.get(name, (holder, now))
        if standing != holder and until > now:
            return False
        self._loops[name] = (holder, now + ttl.total_seconds())
        return True

    async def release_loop(self, name: str, holder: str) -> None:
        self._answer()
        if self._loops.get(name, ("", 0.0))[0] == holder:
            del self._loops[name]

    async def ping(self) -> None:
        self._answer()

    async def aclose(self) -> None:
        return

    def _answer(self) -> None:
        if self.is_away:
            raise StoreUnavailable("the database does not answer")
