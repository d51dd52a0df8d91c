"""Cancelling a session and everything below it, for an operator, its caller, Prefect or a deadline."""

from sidecar.domain.audit import AuditEntry
from sidecar.domain.ids import SessionId
from sidecar.domain.session import Session
from sidecar.relay.aftermath import Change, change
from sidecar.relay.ending import stop
from sidecar.relay.family import child_of, lock_with_caller
from sidecar.relay.fence import fenced
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.wire.sessions import StatusAnswer

CANCELLING = "cancelling"


async def cancel(
    services: Services, session_id: SessionId, reason: str, actor: str
) -> StatusAnswer:
    """`actor` is as in audit entries. Raises SessionUnknown; a terminal session stays what it is.

    Answers `cancelling` while somebody still runs it.
    """
    async with change(services) as made:
        caller, session = await lock_with_caller(made.tx, session_id)
        session = await stop(made, caller, session, reason)
        await _audit(made, session, reason, actor)
    return StatusAnswer(status=_status(session))


async def cancel_child(
    services: Services, claims: SessionClaims, child_id: SessionId, reason: str
) -> StatusAnswer:
    """Raises NotYourChild, LeaseLost, SessionEnded (the caller's)."""
    async with change(services) as made:
        caller = await fenced(made.tx, claims)
        child = await made.tx.sessions.lock((await child_of(made.tx, caller, child_id)).id)
        child = await stop(made, caller, child, reason, tell_caller=False)
        await _audit(made, child, reason, f"session:{caller.id}")
    return StatusAnswer(status=_status(child))


def _status(session: Session) -> str:
    if session.status.is_terminal or session.cancel_reason is None:
        return session.status.value
    return CANCELLING


async def _audit(made: Change, session: Session, reason: str, actor: str) -> None:
    await made.tx.audit.record(
        AuditEntry(
            at=made.services.now(),
            actor=actor,
            action="cancel",
            target=session.id,
            allowed=True,
            reason=reason,
        )
    )
