"""Every subject, stream and consumer name, spelt once."""

from typing import Final

from sidecar.domain.ids import SessionId

EVENTS_STREAM: Final = "X1_EVENTS"
EVENTS_WILDCARD: Final = "x1.session.*.events"
PERSISTER: Final = "x1-persister"


def doorbell(session_id: SessionId) -> str:
    return f"x1.session.{session_id}.input"


def events(session_id: SessionId) -> str:
    return f"x1.session.{session_id}.events"


def inbox_prefix(session_id: SessionId) -> str:
    """Where replies to one session's requests go; only that session may subscribe below it."""
    return f"_INBOX_{session_id.replace('-', '')}"
