"""The lease: renewed every five seconds, given up to park or to stop, never taken by force here.

Renewing asks for the generation and the holder alone, not for the clock: a laptop that slept and a relay
that was away end in a renewal, not in a second activation.
"""

from dataclasses import replace

from sidecar.domain.errors import PrefectUnavailable
from sidecar.domain.event import EventType
from sidecar.domain.lease import TTL
from sidecar.domain.session import Session, SessionStatus
from sidecar.relay import usage
from sidecar.relay.aftermath import Change, change
from sidecar.relay.bundles import TOKEN_SECONDS, attachment_models, bus_access
from sidecar.relay.claiming import usage_key
from sidecar.relay.egress import egress_access
from sidecar.relay.ending import ended_activation
from sidecar.relay.family import lock_with_caller
from sidecar.relay.fence import check, fenced
from sidecar.relay.journal import note
from sidecar.relay.prefect import CANCELLED_IN_PREFECT, RunPhase
from sidecar.relay.rights import rights_of
from sidecar.relay.services import Services
from sidecar.relay.settling import let_go, settle
from sidecar.relay.tokens import SessionClaims
from sidecar.store.port import Transaction
from sidecar.wire.claim import ReleaseAnswer, ReleaseRequest, RenewAnswer, RenewRequest


async def renew(services: Services, claims: SessionClaims, request: RenewRequest) -> RenewAnswer:
    """Raises LeaseLost, SessionEnded. The answer carries a cancel that was asked for."""
    async with services.store.transaction() as tx:
        session = await fenced(tx, claims, request.holder)
        session = replace(
            session,
            lease_expires_at=services.now() + TTL,
            usage=await _usage(tx, session, request),
        )
        await tx.sessions.save(session)
        rights = await rights_of(tx, session)
        unread = len(await tx.wakes.undone(session.id))
    token = services.tokens.mint_session(session.id, claims.activation_id, session.generation)
    return RenewAnswer(
        token=token,
        token_seconds=TOKEN_SECONDS,
        bus=bus_access(services, session.id),
        egress=egress_access(services, rights),
        unread=unread,
        cancel_reason=session.cancel_reason,
        attachments=attachment_models(rights.attachments()),
        tools=rights.tools(),
    )


async def release(
    services: Services, claims: SessionClaims, request: ReleaseRequest
) -> ReleaseAnswer:
    """Parks unless a wake is unread or a cancel waits, in one transaction; `stop` always lets go.

    Letting go twice answers what stands. Raises LeaseLost.
    """
    cancelled = request.how == "stop" and await _is_cancelled_in_prefect(services, claims)
    async with change(services) as made:
        caller, session = await lock_with_caller(made.tx, claims.session_id)
        if _has_let_go(session, claims):
            return _answer(session, 0)
        check(session, claims, request.holder)
        unread = len(await made.tx.wakes.undone(session.id))
        if request.how == "park":
            if unread or session.cancel_reason:
                return _answer(session, unread)
            session = await _park(made, session)
        else:
            if cancelled and session.cancel_reason is None:
                session = replace(session, cancel_reason=CANCELLED_IN_PREFECT)
            session = await _stop(made, caller, session, request.reason or "stopped")
    return _answer(session, unread)


async def _is_cancelled_in_prefect(services: Services, claims: SessionClaims) -> bool:
    """A flow run that is being cancelled dies, and its sidecar lets go, before the relay's next poll."""
    async with services.store.transaction() as tx:
        activation = await tx.activations.open_of(claims.session_id)
    if activation is None or activation.flow_run_id is None:
        return False
    try:
        state = (await services.prefect.states([activation.flow_run_id]))[activation.flow_run_id]
    except PrefectUnavailable:
        return False
    return state.phase is RunPhase.CANCELLED and not state.by_parent


async def _park(made: Change, session: Session) -> Session:
    parked = replace(
        session, status=SessionStatus.PARKED, lease_holder=None, lease_expires_at=None, failures=0
    )
    await made.tx.sessions.save(parked)
    activation = await made.tx.activations.open_of(session.id)
    if activation is not None:
        await made.tx.activations.save(ended_activation(made.services, activation, "parked"))
    await note(made.tx, parked, EventType.SESSION_PARKED, {"turns": session.turns})
    made.aftermath.changed.append(session.id)
    return parked


async def _stop(made: Change, caller: Session | None, session: Session, reason: str) -> Session:
    activation = await made.tx.activations.open_of(session.id)
    if activation is None:
        return await let_go(made, caller, session, reason, is_barren=True)
    return await settle(made, caller, session, activation, reason)


async def _usage(
    tx: Transaction, session: Session, request: RenewRequest
) -> tuple[usage.ModelUsage, ...]:
    if not request.usage:
        return session.usage
    before = await tx.effects.get(session.id, usage_key(session)) or {}
    return usage.added(usage.parse(before.get("usage", [])), usage.parse(request.usage))


def _has_let_go(session: Session, claims: SessionClaims) -> bool:
    return session.generation == claims.generation and (
        session.lease_holder is None or session.status.is_terminal
    )


def _answer(session: Session, unread: int) -> ReleaseAnswer:
    is_parked = session.status is SessionStatus.PARKED
    return ReleaseAnswer(status=session.status.value, parked=is_parked, unread=unread)
