"""Messages between sessions: down to a child, which reads them as a user's, and up to the caller."""

from typing import Any

from sidecar.domain.errors import InvalidArguments, SessionEnded, WakeUnknown
from sidecar.domain.event import EventType
from sidecar.domain.ids import SessionId, WakeId
from sidecar.domain.session import Session
from sidecar.domain.wake import Wake, WakeKind
from sidecar.relay import waking
from sidecar.relay.effects import once
from sidecar.relay.family import child_of, lock_with_caller
from sidecar.relay.fence import check
from sidecar.relay.journal import note
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.store.port import Transaction
from sidecar.wire.wakes import MessageAnswer, MessageRequest, MessageStatus

CALLER = "caller"


async def send(
    services: Services, claims: SessionClaims, request: MessageRequest, key: str | None
) -> MessageAnswer:
    """Raises NotYourChild, SessionEnded (the addressee's or the sender's), LeaseLost, InvalidArguments."""
    async with services.store.transaction() as tx:
        caller, session = await lock_with_caller(tx, claims.session_id)
        check(session, claims)

        async def act() -> dict[str, Any]:
            if request.to == CALLER:
                wake = await _up(tx, services, caller, session, request)
            else:
                wake = await _down(tx, services, session, request)
            return {"wake_id": wake.id}

        sent = await once(tx, session.id, key and f"message {key}", act)
        wake = await tx.wakes.get(WakeId(sent["wake_id"]))
    await waking.ring(services, wake)
    return MessageAnswer(wake_id=wake.id, receipt=wake.receipt)


async def status(services: Services, claims: SessionClaims, wake_id: WakeId) -> MessageStatus:
    """Of what this session sent. Raises WakeUnknown for anything else."""
    async with services.store.transaction() as tx:
        check(await tx.sessions.get(claims.session_id), claims)
        wake = await tx.wakes.get(wake_id)
    if wake.from_session_id != claims.session_id:
        raise WakeUnknown(f"{wake_id} is no message that you sent")
    times = {
        "accepted": wake.created_at,
        "delivered": wake.delivered_at,
        "read": wake.read_at,
        "done": wake.done_at,
    }
    return MessageStatus(
        receipt=wake.receipt, times={name: at for name, at in times.items() if at is not None}
    )


async def _up(
    tx: Transaction,
    services: Services,
    caller: Session | None,
    session: Session,
    request: MessageRequest,
) -> Wake:
    if caller is None:
        raise InvalidArguments("to: nobody called this session; use request_input to ask a human")
    if caller.status.is_terminal:
        raise SessionEnded(f"your caller's session {caller.id} is {caller.status}")
    wake = await waking.insert(
        tx,
        services,
        caller,
        WakeKind.MESSAGE,
        request.text,
        payload={
            "child_session_id": session.id,
            "slug": session.agent,
            "summary": request.summary,
            "needs_response": request.needs_response,
        },
        sender=session.agent,
        from_session_id=session.id,
    )
    told = {"text": request.text, "wake_id": wake.id, "needs_response": request.needs_response}
    await note(tx, session, EventType.AGENT_MESSAGE_TO_CALLER, told)
    return wake


async def _down(
    tx: Transaction, services: Services, session: Session, request: MessageRequest
) -> Wake:
    child = await child_of(tx, session, SessionId(request.to))
    wake = await waking.wake(
        tx,
        services,
        child.id,
        WakeKind.USER,
        request.text,
        sender=session.agent,
        from_session_id=session.id,
    )
    told = {"text": request.text, "wake_id": wake.id, "sender": session.agent}
    await note(tx, child, EventType.USER_MESSAGE, told)
    return wake
