"""How a session becomes terminal: one way for a good end, a failure and a cancel.

In one transaction: descendants first (they do not outlive their caller), the row, what was never read
becomes undeliverable, the open activation ends, the caller is told by a wake. A terminal row never changes.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sidecar.domain.errors import SessionEnded
from sidecar.domain.event import EventType
from sidecar.domain.session import Activation, ActivationState, Session, SessionStatus
from sidecar.domain.wake import Receipt, Wake, WakeKind
from sidecar.relay import waking
from sidecar.relay.aftermath import Change, change
from sidecar.relay.family import live_children, lock_with_caller
from sidecar.relay.fence import check
from sidecar.relay.journal import note
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.relay.usage import as_json
from sidecar.wire.claim import EndAnswer, EndRequest

CALLER_ENDED: Final = "its caller ended"

_EVENTS: Final = {
    SessionStatus.COMPLETE: EventType.SESSION_COMPLETED,
    SessionStatus.FAILED: EventType.SESSION_FAILED,
    SessionStatus.CANCELLED: EventType.SESSION_CANCELLED,
}


async def end(services: Services, claims: SessionClaims, request: EndRequest) -> EndAnswer:
    """The holder ends its session. The same holder may repeat it and gets the same answer."""
    async with change(services) as made:
        caller, session = await lock_with_caller(made.tx, claims.session_id)
        if not _has_ended_so(session, claims, request):
            check(session, claims, request.holder)
            session = await _counted(made, session)
            session = await finish(
                made,
                caller,
                session,
                SessionStatus(request.outcome),
                outcome=request.detail or request.outcome,
                summary=request.summary,
            )
    return EndAnswer(
        status=session.status, summary=session.summary or "", usage=as_json(session.usage)
    )


async def _counted(made: Change, session: Session) -> Session:
    """The turn that ends a session is a turn: its wakes are read, and no receipt of them follows."""
    undone = await made.tx.wakes.undone(session.id)
    if any(each.receipt is Receipt.READ for each in undone):
        session = replace(session, turns=session.turns + 1)
        await made.tx.sessions.save(session)
    return session


async def fail(made: Change, caller: Session | None, session: Session, reason: str) -> Session:
    return await finish(made, caller, session, SessionStatus.FAILED, outcome=reason)


async def finish(
    made: Change,
    caller: Session | None,
    session: Session,
    status: SessionStatus,
    *,
    outcome: str,
    summary: str | None = None,
    tell_caller: bool = True,
) -> Session:
    """Makes a locked session terminal; its caller, if any, must be locked too. Raises SessionEnded."""
    if session.status.is_terminal:
        raise SessionEnded(f"session {session.id} is {session.status}")
    await _stop_children(made, session, CALLER_ENDED)
    session = await made.tx.sessions.lock(session.id)
    ended = replace(
        session,
        status=status,
        outcome=outcome,
        summary=summary if summary is not None else session.summary,
        ended_at=made.services.now(),
        lease_holder=None,
        lease_expires_at=None,
        watchdog_due_at=None,
    )
    await made.tx.sessions.save(ended)
    await _close_activation(made, ended)
    lost = await _settle_wakes(made, ended)
    await note(made.tx, ended, _EVENTS[status], _payload(ended, lost))
    made.aftermath.changed.append(ended.id)
    if caller is not None and not caller.status.is_terminal:
        await _tell_caller(made, caller, ended, with_wake=tell_caller)
    return ended


async def stop(
    made: Change,
    caller: Session | None,
    session: Session,
    reason: str,
    *,
    tell_caller: bool = True,
) -> Session:
    """Cancels a locked session, its descendants first.

    What nobody runs becomes terminal here. What somebody runs is told, by the bell and by its lease, and
    becomes terminal when it lets go or its lease runs out. Repeatable.
    """
    if session.status.is_terminal:
        return session
    if session.lease_holder is None:
        cancelled = SessionStatus.CANCELLED
        return await finish(
            made, caller, session, cancelled, outcome=reason, tell_caller=tell_caller
        )
    await _stop_children(made, session, reason)
    session = await made.tx.sessions.lock(session.id)
    told = replace(session, cancel_reason=session.cancel_reason or reason)
    await made.tx.sessions.save(told)
    made.aftermath.told.append(session.id)
    return told


async def _stop_children(made: Change, session: Session, reason: str) -> None:
    for each in await live_children(made.tx, session.id):
        child = await made.tx.sessions.lock(each.id)
        await stop(made, session, child, reason, tell_caller=False)


async def _close_activation(made: Change, session: Session) -> None:
    open_one = await made.tx.activations.open_of(session.id)
    if open_one is None:
        return
    ended = ended_activation(made.services, open_one, f"session {session.status}")
    await made.tx.activations.save(ended)
    if open_one.state is ActivationState.REQUESTED and open_one.flow_run_id is not None:
        made.aftermath.unstarted.append(open_one.flow_run_id)


def ended_activation(services: Services, activation: Activation, reason: str) -> Activation:
    return replace(
        activation,
        state=ActivationState.ENDED,
        ended_at=services.now(),
        end_reason=reason,
        queued_reason=None,
    )


async def _settle_wakes(made: Change, session: Session) -> Sequence[Wake]:
    """What the last turn was about is done when the session completed; all else was never dealt with."""
    lost: list[Wake] = []
    for wake in await made.tx.wakes.undone(session.id):
        was_read = wake.receipt is Receipt.READ and session.status is SessionStatus.COMPLETE
        receipt = Receipt.DONE if was_read else Receipt.UNDELIVERABLE
        await made.tx.wakes.save(replace(wake, receipt=receipt, done_at=made.services.now()))
        if not was_read:
            lost.append(wake)
    return lost


async def _tell_caller(made: Change, caller: Session, ended: Session, *, with_wake: bool) -> None:
    told = {
        "child_session_id": ended.id,
        "slug": ended.agent,
        "status": ended.status.value,
        "outcome": ended.outcome,
        "summary": ended.summary,
    }
    await note(made.tx, caller, EventType.CHILD_ENDED, told)
    made.aftermath.changed.append(caller.id)
    if not with_wake:
        return
    wake = await waking.insert(
        made.tx,
        made.services,
        caller,
        WakeKind.STATE_CHANGE,
        _sentence(ended),
        payload=told,
        sender=ended.agent,
        from_session_id=ended.id,
        dedupe_key=f"ended:{ended.id}",
    )
    made.aftermath.wakes.append(wake)


def _sentence(ended: Session) -> str:
    how = {
        SessionStatus.COMPLETE: "completed its session",
        SessionStatus.FAILED: "failed",
        SessionStatus.CANCELLED: "was cancelled",
    }[ended.status]
    said = ended.summary or ended.outcome
    return f"{ended.agent} {how}." + (f" {said}" if said else "")


def _payload(ended: Session, lost: Sequence[Wake]) -> dict[str, Any]:
    return {
        "outcome": ended.outcome,
        "summary": ended.summary,
        "undeliverable": [wake.id for wake in lost],
    }


def _has_ended_so(session: Session, claims: SessionClaims, request: EndRequest) -> bool:
    return session.status.value == request.outcome and session.generation == claims.generation
