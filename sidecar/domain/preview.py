"""Previews: running copies of one revision, their operations, evidence and names."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sidecar.domain.ids import (
    EvidenceId,
    FlowRunId,
    OperationId,
    PreviewId,
    Repository,
    Revision,
    SessionId,
)

MAX_LABEL = 63


class PreviewStatus(StrEnum):
    REQUESTED = "requested"
    BUILDING = "building"
    DEPLOYING = "deploying"
    READY = "ready"
    FAILED = "failed"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One per (workspace, repo, branch). `revision` is what is asked for, `serving` what answers now."""

    id: PreviewId
    workspace: str
    repo: Repository
    branch: str
    revision: Revision
    owner_session_id: SessionId
    root_session_id: SessionId
    status: PreviewStatus
    url: str
    alias_url: str
    created_at: datetime
    updated_at: datetime
    serving: Revision | None = None
    diagnosis: str | None = None
    expires_at: datetime | None = None
    released_at: datetime | None = None


class OperationKind(StrEnum):
    DEPLOY = "deploy"
    VERIFY = "verify"
    RELEASE = "release"


class OperationState(StrEnum):
    REQUESTED = "requested"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (OperationState.SUCCEEDED, OperationState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One flow run's work on a preview. It holds a lease as a session does, so a killed flow is noticed.

    `arguments` and `result` are JSON: a verify's checks and its evidence id, a deploy's diagnosis.
    `attempt` counts flow runs; after three the operation fails and its session is told.
    `queued_reason` says what a run that cannot start waits for, until it is claimed.
    """

    id: OperationId
    preview_id: PreviewId
    session_id: SessionId
    kind: OperationKind
    state: OperationState
    revision: Revision
    created_at: datetime
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    result: dict[str, Any] = field(default_factory=dict[str, Any])
    attempt: int = 0
    generation: int = 0
    flow_run_id: FlowRunId | None = None
    holder: str | None = None
    lease_expires_at: datetime | None = None
    running_since: datetime | None = None
    queued_reason: str | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What proves checks: for exactly one revision of one repository. `results` has one entry a check."""

    id: EvidenceId
    preview_id: PreviewId
    session_id: SessionId
    repo: Repository
    branch: str
    revision: Revision
    passed: bool
    results: tuple[dict[str, Any], ...]
    created_at: datetime


def preview_label(app: str, branch: str) -> str:
    """The first label of the durable URL, `<app>-<branch-slug>`: a DNS label, with a hash where cut."""
    return _cut(f"{_slug(app)}-{_slug(branch)}")


def alias_label(app: str, revision: str) -> str:
    """The first label of one revision's immutable URL: `<app>-<sha8>`."""
    return f"{_slug(app)[: MAX_LABEL - 9].rstrip('-')}-{revision[:8]}"


def distinct(label: str, *identity: str) -> str:
    """The same label made unmistakable, for when another preview already answers under it."""
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:8]
    return f"{label[: MAX_LABEL - 9].rstrip('-')}-{digest}"


def app_name(repo: str) -> str:
    return repo.rsplit("/", 1)[-1]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def _cut(label: str) -> str:
    return label if len(label) <= MAX_LABEL else distinct(label, label)
