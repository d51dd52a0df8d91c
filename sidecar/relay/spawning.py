"""Spawning: a session hires a child. Row, first wake, event, grant's use and audit in one transaction.

The child's flow run is asked for right after the commit, under its caller's run; should that fail, the
activator does it.
"""

from datetime import timedelta
from typing import Any

from sidecar.domain.agent import Agent
from sidecar.domain.audit import AuditEntry
from sidecar.domain.errors import InvalidArguments, X1Error
from sidecar.domain.event import EventType
from sidecar.domain.grant import Grant
from sidecar.domain.ids import AgentSlug, SessionId, new_id
from sidecar.domain.session import Session, TriggeredBy
from sidecar.domain.wake import WakeKind
from sidecar.relay import waking
from sidecar.relay.aftermath import Change, change
from sidecar.relay.briefing import Briefing, briefing_of
from sidecar.relay.budgets import child_budget
from sidecar.relay.effects import once
from sidecar.relay.fence import check, fenced
from sidecar.relay.hiring import permit, take_item
from sidecar.relay.journal import note
from sidecar.relay.rights import Rights, rights_of
from sidecar.relay.room import require_room
from sidecar.relay.services import Services
from sidecar.relay.starting import origin
from sidecar.relay.tokens import SessionClaims
from sidecar.store.port import Transaction
from sidecar.wire.sessions import SpawnAnswer, SpawnRequest


async def spawn(
    services: Services, claims: SessionClaims, request: SpawnRequest, key: str | None
) -> SpawnAnswer:
    """Raises what `hiring`, `briefing` and `budgets` say, LeaseLost, SessionEnded, LiveSessionExists, DiskFull."""
    effect = key and f"spawn {key}"
    earlier = await _earlier(services, claims, effect)
    if earlier is not None:
        return SpawnAnswer.model_validate(earlier)
    require_room(services.settings)
    try:
        briefing = await _brief(services, claims, request)
        async with change(services) as made:
            session = await fenced(made.tx, claims)

            async def act() -> dict[str, Any]:
                return await _hire(made, session, request, briefing)

            answer = await once(made.tx, session.id, effect, act)
    except X1Error as error:
        await _audit_refusal(services, claims, request, error)
        raise
    return SpawnAnswer.model_validate(answer)


async def _earlier(
    services: Services, claims: SessionClaims, effect: str | None
) -> dict[str, Any] | None:
    """A repeat needs no forge: its spec was judged the first time."""
    if effect is None:
        return None
    async with services.store.transaction() as tx:
        check(await tx.sessions.get(claims.session_id), claims)
        return await tx.effects.get(claims.session_id, effect)


async def _brief(services: Services, claims: SessionClaims, request: SpawnRequest) -> Briefing:
    """Read before the transaction: no row is locked while the forge is asked."""
    async with services.store.transaction() as tx:
        session = await tx.sessions.get(claims.session_id)
        check(session, claims)
        rights = await rights_of(tx, session)
    return await briefing_of(services.forge, rights, request)


async def _hire(
    made: Change, session: Session, request: SpawnRequest, briefing: Briefing
) -> dict[str, Any]:
    tx, services = made.tx, made.services
    rights = await rights_of(tx, session)
    agent, grant = await permit(tx, services, rights, AgentSlug(request.child_agent_id))
    if request.runtime == "scripted" and agent.script is None:
        raise InvalidArguments(f"runtime: {agent.slug} has no script to play")
    if request.item is not None:
        await take_item(tx, session, request.item, services.now())
    child = _child(services, rights, agent, request, briefing)
    await tx.sessions.insert(child)
    await note(tx, child, EventType.SESSION_STARTED, origin(child))
    if briefing.text is not None:
        wake = await waking.insert(
            tx,
            services,
            child,
            WakeKind.USER,
            briefing.text,
            sender=session.agent,
            from_session_id=session.id,
            dedupe_key="brief",
        )
        await note(tx, child, EventType.USER_MESSAGE, {"text": wake.text, "wake_id": wake.id})
        made.aftermath.wakes.append(wake)
    made.aftermath.changed += [session.id, child.id]
    told = {"child_session_id": child.id, "slug": child.agent, "item": request.item}
    await note(tx, session, EventType.CHILD_SPAWNED, told)
    await _audit(tx, services, session, child, grant)
    return {"session_id": child.id, "status": child.status.value}


def _child(
    services: Services,
    rights: Rights,
    agent: Agent,
    request: SpawnRequest,
    briefing: Briefing,
) -> Session:
    caller, now = rights.session, services.now()
    first = timedelta(seconds=services.settings.watchdog_first_seconds)
    return Session(
        id=SessionId(new_id()),
        workspace=caller.workspace,
        agent=agent.slug,
        kind=agent.kind,
        runtime=request.runtime or agent.runtime,
        model=request.model or agent.model,
        parent_session_id=caller.id,
        root_session_id=caller.root_session_id,
        depth=caller.depth + 1,
        triggered_by=TriggeredBy.AGENT,
        triggered_by_name=caller.agent,
        created_at=now,
        spec=briefing.spec,
        branch=briefing.branch,
        brief=briefing.text,
        item=request.item,
        budget=child_budget(agent, request.budget, caller),
        watchdog_due_at=now + first,
    )


async def _audit(
    tx: Transaction, services: Services, session: Session, child: Session, grant: Grant
) -> None:
    await tx.audit.record(
        AuditEntry(
            at=services.now(),
            actor=f"session:{session.id}",
            action="spawn",
            target=child.agent,
            allowed=True,
            reason=f"{grant.scope} spawn grant {grant.id} by {grant.granted_by}",
            details={"child_session_id": child.id},
        )
    )


async def _audit_refusal(
    services: Services, claims: SessionClaims, request: SpawnRequest, error: X1Error
) -> None:
    """In its own transaction: the refused one left nothing behind."""
    entry = AuditEntry(
        at=services.now(),
        actor=f"session:{claims.session_id}",
        action="spawn",
        target=request.child_agent_id[:128],
        allowed=False,
        reason=f"{error.code}: {error}",
    )
    async with services.store.transaction() as tx:
        await tx.audit.record(entry)
