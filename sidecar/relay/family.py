"""Families: a session, its caller above, its children below, always locked from the top down."""

from collections.abc import Sequence

from sidecar.domain.errors import NotYourChild, SessionUnknown
from sidecar.domain.ids import SessionId
from sidecar.domain.session import Session
from sidecar.store.port import Transaction


async def lock_with_caller(
    tx: Transaction, session_id: SessionId
) -> tuple[Session | None, Session]:
    """Locks the caller's row, then the session's: the only order that never deadlocks."""
    parent_id = (await tx.sessions.get(session_id)).parent_session_id
    parent = await tx.sessions.lock(parent_id) if parent_id else None
    return parent, await tx.sessions.lock(session_id)


async def child_of(tx: Transaction, parent: Session, child_id: SessionId) -> Session:
    """A direct child, unlocked. A stranger's session and none at all look the same from outside."""
    try:
        child = await tx.sessions.get(child_id)
    except SessionUnknown as error:
        raise NotYourChild(f"{child_id} is not a session you spawned") from error
    if child.parent_session_id != parent.id:
        raise NotYourChild(f"{child_id} is not a session you spawned")
    return child


async def ancestors(tx: Transaction, session: Session) -> Sequence[Session]:
    """The caller, its caller and so on up to the root."""
    line: list[Session] = []
    above = session.parent_session_id
    while above is not None:
        line.append(await tx.sessions.get(above))
        above = line[-1].parent_session_id
    return line


async def live_children(tx: Transaction, session_id: SessionId) -> Sequence[Session]:
    return [
        child for child in await tx.sessions.children(session_id) if not child.status.is_terminal
    ]
