"""Receipts: where a wake stands. They move forward only, and every report may be repeated.

An attempt is a turn that began with the wake; an interruption is one cut short. `attempt` is therefore
always one more than `interruptions` while a turn runs, which is what makes repeats recognisable.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sidecar.domain.errors import LeaseLost, WakeUnknown
from sidecar.domain.event import EventType
from sidecar.domain.ids import WakeId
from sidecar.domain.lease import MAX_INTERRUPTIONS
from sidecar.domain.session import Session
from sidecar.domain.wake import Receipt, Wake
from sidecar.relay.aftermath import Change, change
from sidecar.relay.ending import fail, stop
from sidecar.relay.family import lock_with_caller
from sidecar.relay.fence import check
from sidecar.relay.journal import note
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.store.port import Transaction
from sidecar.wire.wakes import ReceiptReport, WakeModel, WakesAnswer

_EVENTS: Final = {
    Receipt.DELIVERED: EventType.WAKE_DELIVERED,
    Receipt.READ: EventType.WAKE_READ,
    Receipt.DONE: EventType.WAKE_DONE,
}


async def unread(services: Services, claims: SessionClaims) -> WakesAnswer:
    """What is not done yet, oldest first. Raises LeaseLost, SessionEnded."""
    async with services.store.transaction() as tx:
        check(await tx.sessions.get(claims.session_id), claims)
        return _answer(await tx.wakes.undone(claims.session_id))


async def report(services: Services, claims: SessionClaims, request: ReceiptReport) -> WakesAnswer:
    """Answers the named wakes as they stand afterwards. Raises LeaseLost, WakeUnknown.

    A wake interrupted three times fails the session. What an ended session reports changes nothing.
    """
    async with change(services) as made:
        tx = made.tx
        caller, session = await lock_with_caller(tx, claims.session_id)
        wakes = [await _own(tx, session, WakeId(each)) for each in request.wake_ids]
        if session.status.is_terminal and session.generation == claims.generation:
            return _answer(wakes)
        check(session, claims, request.holder)
        moved = [_moved(services, wake, request.receipt) for wake in wakes]
        changed = [new for old, new in zip(wakes, moved, strict=True) if new != old]
        for wake in changed:
            await tx.wakes.save(wake)
        if changed and request.receipt == "done":
            session = await _count_turn(tx, session)
        await _note(tx, session, request, changed)
        await _judge(made, caller, session, request, changed)
    return _answer(moved)


async def _own(tx: Transaction, session: Session, wake_id: WakeId) -> Wake:
    wake = await tx.wakes.lock(wake_id)
    if wake.session_id != session.id:
        raise WakeUnknown(f"{wake_id} is no wake of this session")
    return wake


def _moved(services: Services, wake: Wake, report: str) -> Wake:
    """The wake after the report; the same one when the report is old."""
    if wake.receipt.is_final:
        return wake
    now = services.now()
    attempt = max(wake.attempt, 1)
    match report:
        case "delivered" if wake.receipt is Receipt.ACCEPTED:
            return replace(wake, receipt=Receipt.DELIVERED, delivered_at=now)
        case "read" if wake.attempt <= wake.interruptions:
            attempt = wake.interruptions + 1
            return replace(wake, receipt=Receipt.READ, attempt=attempt, read_at=now)
        case "interrupted":
            return replace(wake, attempt=attempt, interruptions=attempt)
        case "done":
            return replace(wake, receipt=Receipt.DONE, done_at=now)
        case _:
            return wake


async def _count_turn(tx: Transaction, session: Session) -> Session:
    """A finished turn: whatever failed before it has been overcome."""
    activation = await tx.activations.open_of(session.id)
    if activation is None:
        raise LeaseLost("this activation has ended: stop at once")
    await tx.activations.save(replace(activation, turns=activation.turns + 1))
    session = replace(session, turns=session.turns + 1, failures=0)
    await tx.sessions.save(session)
    return session


async def _note(
    tx: Transaction, session: Session, request: ReceiptReport, changed: Sequence[Wake]
) -> None:
    if not changed or request.receipt == "interrupted":
        return
    told = {
        "wake_ids": [wake.id for wake in changed],
        "turn": request.turn,
        "stop_reason": request.stop_reason,
    }
    await note(tx, session, _EVENTS[Receipt(request.receipt)], told)


async def _judge(
    made: Change,
    caller: Session | None,
    session: Session,
    request: ReceiptReport,
    changed: Sequence[Wake],
) -> None:
    """A poisonous wake fails the session; a turn that begins beyond the budget stops it."""
    poison = next((wake for wake in changed if wake.interruptions >= MAX_INTERRUPTIONS), None)
    if poison is not None:
        reason = f"wake {poison.id} was interrupted {poison.interruptions} times"
        await fail(made, caller, session, reason)
        return
    limit = session.budget.turns
    if request.receipt == "read" and limit is not None and session.turns >= limit:
        told = {"what": "turns", "limit": limit}
        await note(made.tx, session, EventType.BUDGET_EXHAUSTED, told)
        session = await made.tx.sessions.lock(session.id)
        await stop(made, caller, session, f"its budget of {limit} turns is spent")


def _answer(wakes: Sequence[Wake]) -> WakesAnswer:
    return WakesAnswer(wakes=[WakeModel.of(wake) for wake in wakes])
