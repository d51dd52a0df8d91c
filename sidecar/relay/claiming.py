"""Claiming: how a flow run becomes an activation of a session, or a start becomes a wake.

A run that names a session is its activation; the loser of a race ends quietly. A run that names only an
agent is a start: a live singleton takes its text as a wake, everything else begins a new session. Claiming
again with the same nonce answers the same; another process of the same run raises the generation.
"""

from dataclasses import replace

from sidecar.domain.agent import AgentKind
from sidecar.domain.errors import InvalidArguments, LiveSessionExists, SessionEnded
from sidecar.domain.event import EventType
from sidecar.domain.ids import ActivationId, AgentSlug, FlowRunId, SessionId, new_id
from sidecar.domain.lease import TTL, holder_of
from sidecar.domain.session import Activation, ActivationState, Session, SessionStatus
from sidecar.domain.wake import Wake
from sidecar.relay import starting
from sidecar.relay.bundles import bundle_of, page_url
from sidecar.relay.effects import once
from sidecar.relay.journal import note
from sidecar.relay.prefect import RunPhase
from sidecar.relay.room import require_room
from sidecar.relay.services import Services
from sidecar.relay.usage import as_json
from sidecar.relay.waking import ring
from sidecar.store.port import Transaction
from sidecar.wire.claim import ClaimAnswer, ClaimRequest

RACES = 5
"""A start may find its singleton ended, or begun, between two looks; more often than this is a fault."""


async def claim(services: Services, request: ClaimRequest) -> ClaimAnswer:
    """Raises AgentUnknown, SessionUnknown, InvalidArguments, PrefectUnavailable, DiskFull."""
    run = FlowRunId(request.flow_run_id)
    state = (await services.prefect.states([run])).get(run)
    if state is None or state.phase is not RunPhase.RUNNING:
        found = "unknown" if state is None else state.name
        return ClaimAnswer(outcome="lost", reason=f"Prefect says that this run is {found}")
    if request.session_id is not None:
        return await _activate(services, request, SessionId(request.session_id))
    if request.agent is None:
        raise InvalidArguments("a claim names a session or an agent; this one names neither")
    return await _start(services, request, AgentSlug(request.agent))


async def _start(services: Services, request: ClaimRequest, slug: AgentSlug) -> ClaimAnswer:
    for _ in range(RACES):
        try:
            return await _start_once(services, request, slug)
        except (LiveSessionExists, SessionEnded):
            continue
    raise LiveSessionExists(f"{slug} begins and ends too fast to start it; try again")


async def _start_once(services: Services, request: ClaimRequest, slug: AgentSlug) -> ClaimAnswer:
    run = FlowRunId(request.flow_run_id)
    wake: Wake | None = None
    async with services.store.transaction() as tx:
        agent = await tx.agents.get(slug)
        mine = await tx.activations.of_flow_run(run)
        if mine is not None:
            return await _take(tx, services, request, await tx.sessions.lock(mine.session_id))
        live = None
        if agent.kind is not AgentKind.WORKER:
            live = await tx.sessions.live(agent.workspace, slug)
        if live is None:
            require_room(services.settings)
            session = starting.new_session(services, agent, starting.start_of(request))
            await tx.sessions.insert(session)
            await note(tx, session, EventType.SESSION_STARTED, starting.origin(session))
            await starting.first_wake(tx, services, session, agent, starting.start_of(request))
            session = await tx.sessions.lock(session.id)
            return await _take(tx, services, request, session)
        wake = await starting.forward(tx, services, live.id, agent, starting.start_of(request))
    await ring(services, wake)
    return ClaimAnswer(
        outcome="forwarded",
        session_id=wake.session_id,
        wake_id=wake.id,
        page_url=page_url(services, wake.session_id),
    )


async def _activate(
    services: Services, request: ClaimRequest, session_id: SessionId
) -> ClaimAnswer:
    async with services.store.transaction() as tx:
        return await _take(tx, services, request, await tx.sessions.lock(session_id))


async def _take(
    tx: Transaction, services: Services, request: ClaimRequest, session: Session
) -> ClaimAnswer:
    """The lease of a locked session for this process of this run, or `lost` with the reason."""
    if session.status.is_terminal:
        return _lost(session, f"session {session.id} is {session.status}")
    run = FlowRunId(request.flow_run_id)
    activation = await tx.activations.open_of(session.id)
    if activation is None:
        if await tx.activations.of_flow_run(run) is not None:
            return _lost(session, "this run's activation has ended; another one follows")
        activation = await _unasked(tx, services, session)
    elif activation.flow_run_id not in (run, None):
        return _lost(session, f"flow run {activation.flow_run_id} is this session's activation")
    holder = holder_of(request.flow_run_id, request.nonce)
    if activation.holder != holder or session.lease_holder != holder:
        claimed = replace(activation, flow_run_id=run, holder=holder)
        session, activation = await _hold(tx, services, session, claimed)
    bundle = await bundle_of(tx, services, session, activation)
    return ClaimAnswer(
        outcome="claimed", bundle=bundle, session_id=session.id, page_url=bundle.page_url
    )


async def _unasked(tx: Transaction, services: Services, session: Session) -> Activation:
    """A run that nobody asked for, of a session that has none: a start, or an operator's own."""
    activation = Activation(
        id=ActivationId(new_id()),
        session_id=session.id,
        state=ActivationState.REQUESTED,
        requested_at=services.now(),
    )
    await tx.activations.insert(activation)
    return activation


async def _hold(
    tx: Transaction, services: Services, session: Session, activation: Activation
) -> tuple[Session, Activation]:
    """Raises the generation: whoever held an older one is fenced off from here on."""
    now = services.now()
    session = replace(
        session,
        status=SessionStatus.RUNNING,
        generation=session.generation + 1,
        lease_holder=activation.holder,
        lease_expires_at=now + TTL,
        started_at=session.started_at or now,
    )
    activation = replace(
        activation,
        state=ActivationState.RUNNING,
        generation=session.generation,
        running_since=activation.running_since or now,
        claimed_at=now,
        queued_reason=None,
    )
    await tx.sessions.save(session)
    await tx.activations.save(activation)
    await remember_usage(tx, session)
    told = {
        "flow_run_id": activation.flow_run_id,
        "activation_id": activation.id,
        "generation": session.generation,
    }
    await note(tx, session, EventType.SESSION_ACTIVATED, told)
    return session, activation


async def remember_usage(tx: Transaction, session: Session) -> None:
    """What was used before this generation: its own reports are totals that start at nothing."""

    async def before() -> dict[str, object]:
        return {"usage": as_json(session.usage)}

    await once(tx, session.id, usage_key(session), before)


def usage_key(session: Session) -> str:
    return f"usage before generation {session.generation}"


def _lost(session: Session, reason: str) -> ClaimAnswer:
    return ClaimAnswer(outcome="lost", reason=reason, session_id=session.id)
