"""What an agent asks a human: an input or an approval. The answer comes back as a wake."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sidecar.domain.ids import RequestId, SessionId


class RequestKind(StrEnum):
    INPUT = "input"
    GRANT = "grant"


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanRequest:
    id: RequestId
    session_id: SessionId
    kind: RequestKind
    question: str
    created_at: datetime
    options: tuple[str, ...] = ()
    answer: str | None = None
    answered_by: str | None = None
    answered_at: datetime | None = None
