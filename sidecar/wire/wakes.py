"""Wakes and receipts between the relay and a sidecar, and messages between sessions."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from sidecar.domain.ids import SessionId, WakeId
from sidecar.domain.wake import Receipt, Wake, WakeKind
from sidecar.wire.model import WireModel

MAX_TEXT = 128 * 1024


class WakeModel(WireModel):
    id: str
    session_id: str
    kind: WakeKind
    text: str
    created_at: datetime
    payload: dict[str, Any] = {}
    sender: str = ""
    from_session_id: str | None = None
    receipt: Receipt
    attempt: int = 0
    interruptions: int = 0
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    done_at: datetime | None = None

    @classmethod
    def of(cls, wake: Wake) -> "WakeModel":
        return cls.model_validate(wake, from_attributes=True)

    def to_wake(self) -> Wake:
        fields = self.model_dump()
        fields["id"] = WakeId(self.id)
        fields["session_id"] = SessionId(self.session_id)
        return Wake(**fields)


class WakesAnswer(WireModel):
    """GET /internal/sessions/{id}/wakes: not done yet, oldest first."""

    wakes: list[WakeModel]


class ReceiptReport(WireModel):
    """POST /internal/sessions/{id}/wakes/receipts. Moves forward only; a repeat changes nothing.

    `read` raises the wake's attempt; `interrupted` counts a turn cut short (three fail the session);
    `done` carries the turn's number and stop reason.
    """

    holder: str
    wake_ids: list[str] = Field(min_length=1, max_length=100)
    receipt: Literal["delivered", "read", "interrupted", "done"]
    turn: int | None = None
    stop_reason: str | None = None


class MessageRequest(WireModel):
    """POST /internal/sessions/{id}/messages: from session {id} to its child, or to its caller."""

    to: str
    """A child's session id, or `caller`."""
    text: str = Field(min_length=1, max_length=MAX_TEXT)
    summary: str | None = None
    needs_response: bool = False


class MessageAnswer(WireModel):
    wake_id: str
    receipt: Receipt


class MessageStatus(WireModel):
    """GET /internal/sessions/{id}/messages/{wake_id}, for what this session sent."""

    receipt: Receipt
    times: dict[str, datetime]
