"""A merge: reserved before the forge is touched, recorded after, reconciled when a crash fell between."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sidecar.domain.ids import EvidenceId, Repository, Revision, SessionId


class MergeState(StrEnum):
    RESERVED = "reserved"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Unique per (repo, base, expected_sha). `base_before` is the base's head when it was reserved."""

    repo: Repository
    head: str
    base: str
    expected_sha: Revision
    session_id: SessionId
    evidence_id: EvidenceId
    state: MergeState
    created_at: datetime
    base_before: Revision | None = None
    merge_sha: Revision | None = None
    reason: str | None = None
