"""The fence: only the holder of the current generation writes; everybody older is told so at once."""

from sidecar.domain.errors import LeaseLost, SessionEnded
from sidecar.domain.session import Session
from sidecar.relay.tokens import SessionClaims
from sidecar.store.port import Transaction


async def fenced(tx: Transaction, claims: SessionClaims, holder: str | None = None) -> Session:
    """Locks the caller's session for this transaction.

    Raises SessionEnded when it is terminal, LeaseLost when the caller's generation is not the current one,
    nobody holds the lease, or `holder` (when given) is not who does.
    """
    session = await tx.sessions.lock(claims.session_id)
    check(session, claims, holder)
    return session


def check(session: Session, claims: SessionClaims, holder: str | None = None) -> None:
    if session.status.is_terminal:
        raise SessionEnded(f"session {session.id} is {session.status}")
    if claims.generation != session.generation:
        raise LeaseLost(
            f"generation {claims.generation} was replaced by {session.generation}: stop at once"
        )
    if session.lease_holder is None:
        raise LeaseLost("this activation gave its lease up: stop at once")
    if holder is not None and holder != session.lease_holder:
        raise LeaseLost("another process holds this generation's lease: stop at once")
