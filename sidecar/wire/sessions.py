"""Sessions as other sessions see them: spawn, children, their events."""

from datetime import datetime
from typing import Any

from pydantic import Field

from sidecar.wire.model import BranchName, RuntimeName, StrictModel, WireModel
from sidecar.wire.wakes import MAX_TEXT


class SpecModel(StrictModel):
    repo: str = Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
    path: str = Field(max_length=512)
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")


class SpawnRequest(WireModel):
    """POST /internal/sessions, with Idempotency-Key."""

    child_agent_id: str
    brief: str | None = Field(default=None, max_length=MAX_TEXT)
    spec: SpecModel | None = None
    branch: BranchName | None = None
    model: str | None = None
    runtime: RuntimeName | None = None
    budget: dict[str, float] | None = None
    item: str | None = Field(default=None, max_length=128)


class SpawnAnswer(WireModel):
    session_id: str
    status: str


class EventModel(WireModel):
    id: str
    session_id: str
    sequence: int
    source_sequence: int | None = None
    source: str
    generation: int
    timestamp: datetime
    type: str
    payload: dict[str, Any]


class ChildModel(WireModel):
    session_id: str
    slug: str
    status: str
    last_event_at: datetime | None
    usage: list[dict[str, Any]] = []
    summary: str | None = None
    branch: str | None = None


class ChildrenAnswer(WireModel):
    children: list[ChildModel]


class ChildOutput(WireModel):
    """GET /internal/sessions/{child}/events?after_seq=&limit=&types="""

    child: ChildModel
    events: list[EventModel]
    last_seq: int


class CancelRequest(WireModel):
    """POST /internal/sessions/{child}/cancel"""

    reason: str = Field(min_length=1, max_length=2000)


class StatusAnswer(WireModel):
    status: str


class StatusRequest(WireModel):
    """POST /internal/sessions/{id}/status"""

    status: str = Field(min_length=1, max_length=500)
    detail: str | None = Field(default=None, max_length=8000)


class QuietRequest(WireModel):
    """POST /internal/sessions/{id}/quiet"""

    seconds: int = Field(ge=1, le=3600)
    reason: str | None = Field(default=None, max_length=500)


class QuietAnswer(WireModel):
    until: datetime


class InputRequest(WireModel):
    """POST /internal/sessions/{id}/requests"""

    question: str = Field(min_length=1, max_length=8000)
    options: list[str] = Field(default_factory=list, max_length=20)


class InputAnswer(WireModel):
    request_id: str


class PreconditionsRequest(WireModel):
    """POST /internal/preconditions: names only, never values."""

    secrets: list[str] = Field(max_length=100)


class PreconditionsAnswer(WireModel):
    configured: list[str]
    missing: list[str]


class ItemRequest(WireModel):
    """POST /internal/items/claim | /internal/items/release"""

    item: str = Field(min_length=1, max_length=128)
    ttl_minutes: float = Field(default=240, gt=0, le=10080)


class ItemAnswer(WireModel):
    claimed: bool
    holder: str | None


class CostAnswer(WireModel):
    """GET /internal/costs?scope=session|tree|agent|day"""

    usd: float
    tokens: dict[str, int]
    budget: dict[str, float]
    remaining: dict[str, float]


class ErrorBody(WireModel):
    """Every refusal of every service: `{"error": {"code", "message", "findings"}}`."""

    code: str
    message: str
    findings: list[dict[str, Any]] = []
