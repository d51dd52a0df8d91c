"""Whose a preview is: the session tree that deployed it, until that tree has ended or let it go."""

from sidecar.domain.errors import PreviewClaimed, PreviewUnknown, SessionUnknown
from sidecar.domain.preview import Preview, PreviewStatus
from sidecar.domain.session import Session
from sidecar.store.port import Transaction

FREE = (PreviewStatus.RELEASED, PreviewStatus.EXPIRED)


def require_seen(preview: Preview, session: Session) -> None:
    """Raises PreviewUnknown in another workspace: it does not even exist there."""
    if preview.workspace != session.workspace:
        raise PreviewUnknown(f"no preview {preview.id}")


def require_own(preview: Preview, session: Session) -> None:
    """Raises PreviewClaimed when it is another tree's."""
    require_seen(preview, session)
    if preview.root_session_id != session.root_session_id:
        raise claimed(preview)


async def require_claimable(tx: Transaction, preview: Preview, session: Session) -> None:
    """Own, let go, or held by a tree whose root has ended. Raises PreviewClaimed."""
    if preview.root_session_id == session.root_session_id or preview.status in FREE:
        return
    try:
        holder = await tx.sessions.get(preview.root_session_id)
    except SessionUnknown:
        return
    if not holder.status.is_terminal:
        raise claimed(preview)


def claimed(preview: Preview) -> PreviewClaimed:
    return PreviewClaimed(
        f"the preview of {preview.repo}@{preview.branch} is held by session "
        f"{preview.root_session_id}: wait for it, or ask a human to release it"
    )
