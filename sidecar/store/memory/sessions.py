"""Sessions, activations, wakes and events in memory, with the constraints PostgreSQL has."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sidecar.domain.agent import AgentKind
from sidecar.domain.errors import (
    ActivationOpen,
    LiveSessionExists,
    SessionEnded,
    SessionUnknown,
    Unknown,
    WakeUnknown,
)
from sidecar.domain.event import Event, NewEvent
from sidecar.domain.ids import ActivationId, AgentSlug, FlowRunId, SessionId, WakeId
from sidecar.domain.session import Activation, ActivationState, Session, SessionStatus
from sidecar.domain.wake import Wake
from sidecar.store.memory.state import State


class MemorySessions:
    def __init__(self, state: State) -> None:
        self._state = state

    async def insert(self, session: Session) -> None:
        if session.kind is not AgentKind.WORKER and not session.status.is_terminal:
            twin = await self.live(session.workspace, session.agent)
            if twin is not None:
                raise LiveSessionExists(f"{session.agent} has a live session already")
        self._state.sessions[session.id] = session

    async def get(self, session_id: SessionId) -> Session:
        if session_id not in self._state.sessions:
            raise SessionUnknown(f"no session {session_id}")
        return self._state.sessions[session_id]

    async def lock(self, session_id: SessionId) -> Session:
        return await self.get(session_id)

    async def save(self, session: Session) -> None:
        stored = await self.get(session.id)
        if stored.status.is_terminal:
            raise SessionEnded(f"session {session.id} is {stored.status}; that never changes")
        last = max(stored.last_sequence, session.last_sequence)
        self._state.sessions[session.id] = replace(session, last_sequence=last)

    async def live(self, workspace: str, agent: AgentSlug) -> Session | None:
        fitting = [
            each for each in self._live() if each.workspace == workspace and each.agent == agent
        ]
        return max(fitting, key=lambda each: each.id, default=None)

    def _live(self) -> Iterable[Session]:
        return (each for each in self._state.sessions.values() if not each.status.is_terminal)

    async def children(self, parent: SessionId) -> Sequence[Session]:
        mine = [s for s in self._state.sessions.values() if s.parent_session_id == parent]
        return sorted(mine, key=lambda each: each.id)

    async def find(
        self,
        *,
        statuses: Sequence[SessionStatus] = (),
        agent: AgentSlug | None = None,
        root: SessionId | None = None,
        id_prefix: str | None = None,
        limit: int = 200,
    ) -> Sequence[Session]:
        fitting = [
            each
            for each in self._state.sessions.values()
            if (not statuses or each.status in statuses)
            and agent in (None, each.agent)
            and root in (None, each.root_session_id)
            and each.id.startswith(id_prefix or "")
        ]
        return sorted(fitting, key=lambda each: (each.created_at, each.id), reverse=True)[:limit]

    async def with_expired_lease(self, now: datetime) -> Sequence[Session]:
        return [
            each
            for each in self._state.sessions.values()
            if each.status is SessionStatus.RUNNING
            and each.lease_expires_at is not None
            and each.lease_expires_at < now
        ]

    async def needing_activation(self, limit: int) -> Sequence[SessionId]:
        busy = {
            each.session_id
            for each in self._state.activations.values()
            if each.state is not ActivationState.ENDED
        }
        asked = {
            each.session_id for each in self._state.wakes.values() if not each.receipt.is_final
        }
        begun = (SessionStatus.PENDING, SessionStatus.RUNNING)
        fitting = [
            each.id
            for each in self._live()
            if each.id not in busy and (each.id in asked or each.status in begun)
        ]
        return sorted(fitting)[:limit]

    async def watchdog_due(self, now: datetime) -> Sequence[Session]:
        return [
            each
            for each in self._live()
            if each.parent_session_id and each.watchdog_due_at and each.watchdog_due_at <= now
        ]

    async def past_deadline(self, now: datetime) -> Sequence[Session]:
        return [
            each
            for each in self._live()
            if each.budget.wall_minutes is not None
            and each.created_at + timedelta(minutes=each.budget.wall_minutes) <= now
        ]


class MemoryActivations:
    def __init__(self, state: State) -> None:
        self._held = state.activations

    async def insert(self, activation: Activation) -> None:
        if await self.open_of(activation.session_id) is not None:
            raise ActivationOpen(f"session {activation.session_id} has an open activation")
        self._held[activation.id] = activation

    async def get(self, activation_id: ActivationId) -> Activation:
        if activation_id not in self._held:
            raise Unknown(f"no activation {activation_id}")
        return self._held[activation_id]

    async def lock(self, activation_id: ActivationId) -> Activation:
        return await self.get(activation_id)

    async def save(self, activation: Activation) -> None:
        self._held[activation.id] = activation

    async def open_of(self, session_id: SessionId) -> Activation | None:
        opened = [each for each in await self.all_open() if each.session_id == session_id]
        return opened[0] if opened else None

    async def all_open(self) -> Sequence[Activation]:
        opened = [e for e in self._held.values() if e.state is not ActivationState.ENDED]
        return sorted(opened, key=lambda each: each.id)

    async def of_flow_run(self, flow_run_id: FlowRunId) -> Activation | None:
        fitting = [each for each in self._held.values() if each.flow_run_id == flow_run_id]
        return max(fitting, key=lambda each: each.id, default=None)

    async def list_of(self, session_id: SessionId) -> Sequence[Activation]:
        mine = [each for each in self._held.values() if each.session_id == session_id]
        return sorted(mine, key=lambda each: each.id)

    async def newest(self, session_ids: Sequence[SessionId]) -> Mapping[SessionId, Activation]:
        mine = {each: await self.list_of(each) for each in session_ids}
        return {session_id: found[-1] for session_id, found in mine.items() if found}


class MemoryWakes:
    def __init__(self, state: State) -> None:
        self._held = state.wakes

    async def insert(self, wake: Wake) -> Wake:
        for stored in self._held.values():
            if (
                wake.dedupe_key is not None
                and stored.session_id == wake.session_id
                and stored.dedupe_key == wake.dedupe_key
            ):
                return stored
        self._held[wake.id] = wake
        return wake

    async def get(self, wake_id: WakeId) -> Wake:
        if wake_id not in self._held:
            raise WakeUnknown(f"no wake {wake_id}")
        return self._held[wake_id]

    async def lock(self, wake_id: WakeId) -> Wake:
        return await self.get(wake_id)

    async def save(self, wake: Wake) -> None:
        self._held[wake.id] = wake

    async def undone(self, session_id: SessionId) -> Sequence[Wake]:
        return [each for each in self._of(session_id) if not each.receipt.is_final]

    async def list_of(self, session_id: SessionId, limit: int = 200) -> Sequence[Wake]:
        return self._of(session_id)[::-1][:limit]

    def _of(self, session_id: SessionId) -> list[Wake]:
        mine = [each for each in self._held.values() if each.session_id == session_id]
        return sorted(mine, key=lambda each: (each.created_at, each.id))


class MemoryEvents:
    def __init__(self, state: State) -> None:
        self._state = state

    async def append(self, session_id: SessionId, events: Sequence[NewEvent]) -> Sequence[Event]:
        if session_id not in self._state.sessions:
            raise SessionUnknown(f"no session {session_id}")
        return await self.append_many(events)

    async def append_many(self, events: Sequence[NewEvent]) -> Sequence[Event]:
        seen = {
            mark
            for stored in self._state.events.values()
            for each in stored
            for mark in _marks(each)
        }
        fresh: defaultdict[SessionId, list[Event]] = defaultdict(list)
        answer: list[Event] = []
        for event in events:
            session = self._state.sessions.get(event.session_id)
            marks = _marks(event)
            if session is None or not seen.isdisjoint(marks):
                continue
            seen.update(marks)
            mine = fresh[event.session_id]
            mine.append(_numbered(event, session.last_sequence + len(mine) + 1))
            answer.append(mine[-1])
        for session_id, added in fresh.items():
            self._keep(session_id, added)
        return answer

    def _keep(self, session_id: SessionId, added: Sequence[Event]) -> None:
        self._state.events[session_id] = (*self._state.events.get(session_id, ()), *added)
        self._state.sessions[session_id] = replace(
            self._state.sessions[session_id],
            last_sequence=added[-1].sequence,
            last_event_at=datetime.now(UTC),
        )

    async def after(
        self,
        session_id: SessionId,
        sequence: int,
        *,
        limit: int = 500,
        types: Sequence[str] = (),
        newest_first: bool = False,
    ) -> Sequence[Event]:
        fitting = [
            each
            for each in self._state.events.get(session_id, ())
            if each.sequence > sequence and (not types or each.type in types)
        ]
        return (fitting[::-1] if newest_first else fitting)[:limit]

    async def last_source_sequence(
        self, session_id: SessionId, generation: int, source: str
    ) -> int:
        numbers = [
            each.source_sequence or 0
            for each in self._state.events.get(session_id, ())
            if each.generation == generation and each.source == source
        ]
        return max(numbers, default=0)


def _marks(event: NewEvent | Event) -> tuple[object, ...]:
    """What no second event may have: the id, and the place in its source's own count."""
    if event.source_sequence is None:
        return (event.id,)
    return event.id, (event.session_id, event.generation, event.source, event.source_sequence)


def _numbered(event: NewEvent, sequence: int) -> Event:
    return Event(
        id=event.id,
        session_id=event.session_id,
        sequence=sequence,
        generation=event.generation,
        source=event.source,
        source_sequence=event.source_sequence,
        timestamp=event.timestamp,
        type=event.type,
        payload=event.payload,
    )
