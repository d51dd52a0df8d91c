"""A session's saved state: its content as a stream, and what is said of it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from sidecar.wire.model import WireModel

Kind = Literal["turn", "park", "stop"]


class ContentAnswer(WireModel):
    """PUT /internal/sessions/{id}/state/content: the body is stored, and is nobody's state yet.

    GET of the same path answers the current snapshot's content as a stream.
    """

    digest: str
    size: int


class KeepRequest(WireModel):
    """PUT /internal/sessions/{id}/state: what was stored under this digest is the session's state from here on.

    404 `artifact_unknown` when nothing was, or something else than was sent.
    """

    holder: str
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    turn: int = Field(ge=0, le=2**31 - 1)
    kind: Kind
    notes: dict[str, Any] = {}
    """The sidecar's own; it alone reads them again."""


class SnapshotModel(WireModel):
    digest: str
    size: int
    generation: int
    turn: int
    kind: Kind
    created_at: datetime
    notes: dict[str, Any] = {}


class StateAnswer(WireModel):
    """GET /internal/sessions/{id}/state. More than `cap_bytes` of content is not stored."""

    cap_bytes: int
    snapshot: SnapshotModel | None = None
