"""Starting an agent: a new session with its first wake, or a wake for the one that lives."""

from dataclasses import dataclass
from typing import Any

from sidecar.domain.agent import Agent
from sidecar.domain.errors import SessionEnded
from sidecar.domain.event import EventType
from sidecar.domain.ids import SessionId, new_id
from sidecar.domain.session import Session, TriggeredBy
from sidecar.domain.wake import Wake, WakeKind
from sidecar.relay import waking
from sidecar.relay.budgets import session_budget
from sidecar.relay.journal import note
from sidecar.relay.services import Services
from sidecar.store.port import Transaction
from sidecar.wire.claim import ClaimRequest

START_TEXT = "You were started. Read your instructions and your own state, and do what is next."


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Who starts an agent, and what it is told. `key` makes the first wake once, however often it is tried."""

    by: TriggeredBy
    name: str
    key: str
    text: str | None = None

    @property
    def is_scheduled(self) -> bool:
        return self.by is TriggeredBy.SCHEDULER


def start_of(request: ClaimRequest) -> Start:
    """A flow run's own start, which has one key however often it claims."""
    scheduled = request.trigger == "scheduler"
    return Start(
        by=TriggeredBy.SCHEDULER if scheduled else TriggeredBy.USER,
        name=f"flow run {request.flow_run_id}",
        key=f"flow run {request.flow_run_id}",
        text=request.text,
    )


def new_session(services: Services, agent: Agent, start: Start) -> Session:
    session_id = SessionId(new_id())
    return Session(
        id=session_id,
        workspace=agent.workspace,
        agent=agent.slug,
        kind=agent.kind,
        runtime=agent.runtime,
        model=agent.model,
        root_session_id=session_id,
        triggered_by=start.by,
        triggered_by_name=start.name,
        created_at=services.now(),
        budget=session_budget(agent),
    )


def origin(session: Session) -> dict[str, Any]:
    return {
        "agent": session.agent,
        "triggered_by": session.triggered_by.value,
        "parent_session_id": session.parent_session_id,
    }


async def first_wake(
    tx: Transaction, services: Services, session: Session, agent: Agent, start: Start
) -> Wake:
    """Once per `start.key`."""
    scheduled = start.is_scheduled
    wake = await waking.insert(
        tx,
        services,
        session,
        WakeKind.HEARTBEAT if scheduled else WakeKind.USER,
        start.text or (agent.heartbeat if scheduled else START_TEXT),
        sender="schedule" if scheduled else "operator",
        dedupe_key=start.key,
    )
    if not scheduled:
        told = {"text": wake.text, "wake_id": wake.id, "sender": wake.sender}
        await note(tx, session, EventType.USER_MESSAGE, told)
    return wake


async def forward(
    tx: Transaction,
    services: Services,
    session_id: SessionId,
    agent: Agent,
    start: Start,
) -> Wake:
    """Raises SessionEnded when the live session has just ended: then a new one begins."""
    session = await tx.sessions.lock(session_id)
    if session.status.is_terminal:
        raise SessionEnded(f"session {session_id} has just ended")
    return await first_wake(tx, services, session, agent, start)
