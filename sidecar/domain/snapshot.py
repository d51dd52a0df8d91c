"""A session's state as it was last saved: where its content is, and what its sidecar has to remember.

The content is an archive of the agent's working trees and its runtime's files. It is the agent's, so nobody
but the agent's own zone opens it; it is known by its digest alone.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sidecar.domain.ids import SessionId


class SnapshotKind(StrEnum):
    """When it was taken: after a turn, before parking, or when the activation was stopped."""

    TURN = "turn"
    PARK = "park"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """At most one a session. `digest` is the content's sha256, `notes` the sidecar's own and opaque here."""

    session_id: SessionId
    digest: str
    size: int
    generation: int
    turn: int
    kind: SnapshotKind
    created_at: datetime
    notes: dict[str, Any] = field(default_factory=dict[str, Any])
