"""An operator's start of an agent: the live singleton takes a wake, everything else a new session.

Session and first wake are one transaction; the activator, which is nudged, asks Prefect for the flow run.
"""

from typing import Final

from sidecar.domain.agent import Agent, AgentKind
from sidecar.domain.audit import AuditEntry
from sidecar.domain.errors import LiveSessionExists, SessionEnded
from sidecar.domain.event import EventType
from sidecar.domain.ids import AgentSlug, new_id
from sidecar.domain.session import Session, TriggeredBy
from sidecar.domain.wake import Wake
from sidecar.relay import starting
from sidecar.relay.bundles import page_url
from sidecar.relay.journal import note
from sidecar.relay.room import require_room
from sidecar.relay.services import Services
from sidecar.relay.starting import Start
from sidecar.relay.waking import ring
from sidecar.store.port import Transaction
from sidecar.wire.operator import StartAnswer

RACES: Final = 5


async def start_agent(
    services: Services, slug: AgentSlug, text: str | None, operator: str
) -> StartAnswer:
    """Raises AgentUnknown, DiskFull."""
    asked = Start(
        by=TriggeredBy.USER, name=f"operator:{operator}", key=f"start {new_id()}", text=text
    )
    for _ in range(RACES):
        try:
            return await _start_once(services, slug, asked)
        except (LiveSessionExists, SessionEnded):
            continue
    raise LiveSessionExists(f"{slug} begins and ends too fast to start it; try again")


async def _start_once(services: Services, slug: AgentSlug, asked: Start) -> StartAnswer:
    async with services.store.transaction() as tx:
        agent = await tx.agents.get(slug)
        live = None
        if agent.kind is not AgentKind.WORKER:
            live = await tx.sessions.live(agent.workspace, slug)
        if live is None:
            session, wake = await _begin(tx, services, agent, asked)
        else:
            session, wake = live, await starting.forward(tx, services, live.id, agent, asked)
        await _audit(tx, services, session, asked, was_live=live is not None)
    await ring(services, wake)
    return StartAnswer(
        outcome="started" if live is None else "woken",
        session_id=session.id,
        wake_id=wake.id,
        status=session.status,
        url=page_url(services, session.id),
    )


async def _begin(
    tx: Transaction, services: Services, agent: Agent, asked: Start
) -> tuple[Session, Wake]:
    require_room(services.settings)
    session = starting.new_session(services, agent, asked)
    await tx.sessions.insert(session)
    await note(tx, session, EventType.SESSION_STARTED, starting.origin(session))
    return session, await starting.first_wake(tx, services, session, agent, asked)


async def _audit(
    tx: Transaction, services: Services, session: Session, asked: Start, *, was_live: bool
) -> None:
    await tx.audit.record(
        AuditEntry(
            at=services.now(),
            actor=asked.name,
            action="start",
            target=session.agent,
            allowed=True,
            reason="its live session is woken" if was_live else "a new session begins",
            details={"session_id": session.id},
        )
    )
