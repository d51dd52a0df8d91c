"""Previews between the relay, sidecars and preview flows."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, SecretStr

from sidecar.wire.model import BranchName, Secret, WireModel


class ValidateRequest(WireModel):
    """POST /internal/previews/validate"""

    repo: str
    revision: str


class ValidateAnswer(WireModel):
    ok: bool
    errors: list[dict[str, Any]] = []


class DeployRequest(WireModel):
    """POST /internal/previews, with Idempotency-Key."""

    repo: str
    branch: BranchName
    commit_sha: str = Field(pattern=r"^[0-9a-f]{40}$")
    wait_seconds: float = Field(default=0, ge=0, le=50)


class PreviewModel(WireModel):
    preview_id: str
    repo: str
    branch: str
    revision: str
    serving: str | None
    status: str
    url: str
    alias_url: str
    diagnosis: str | None = None
    waits_for: str | None = None
    """Why what was asked of it has not begun, as `queued: quota, position 1 of 2; …`."""
    owner_session_id: str | None = None
    updated_at: datetime | None = None


class PreviewLogs(WireModel):
    """GET /internal/previews/{id}/logs?source=build|app&tail="""

    lines: list[str]


class PreviewEvents(WireModel):
    """GET /internal/previews/{id}/events?since="""

    events: list[dict[str, Any]]


class VerifyRequest(WireModel):
    """POST /internal/previews/{id}/verify: explicit checks, or a committed spec's acceptance checks."""

    checks: list[dict[str, Any]] = []
    spec: dict[str, str] | None = None


class VerifyAnswer(WireModel):
    passed: bool
    results: list[dict[str, Any]]
    evidence_id: str


class MergeRequest(WireModel):
    """POST /internal/merge"""

    repo: str
    head: str
    base: str
    expected_sha: str = Field(pattern=r"^[0-9a-f]{40}$")
    evidence_id: str


class MergeAnswer(WireModel):
    merge_sha: str


class OperationClaim(WireModel):
    """POST /internal/operations/{id}/claim, with the activation token."""

    flow_run_id: str
    nonce: str


class OperationBundle(WireModel):
    """What a preview flow works from. `git_token` reads one repository and is short-lived.

    `checks` are a verify's. For a deploy: `spec_text` is `.x1agent/preview.yaml` at `revision`, validated by the
    relay; `manifests` are texts by path, for kind manifest; `secrets`, by name, are those that the spec names.
    `serving` is what the branch's URL was last proven to lead to, empty for nothing; `proven` are the revisions
    that have ever been ready, the newest deploy first. `registry` is `host:port`; the tokens are logins there, to
    push and to pull this repository's images.
    """

    outcome: Literal["claimed", "lost"]
    reason: str = ""
    operation_id: str = ""
    preview_id: str = ""
    session_id: str = ""
    kind: str = ""
    holder: str = ""
    token: Secret = SecretStr("")
    repo: str = ""
    branch: str = ""
    revision: str = ""
    serving: str = ""
    proven: list[str] = []
    workspace: str = ""
    url: str = ""
    alias_url: str = ""
    git_url: str = ""
    git_token: Secret = SecretStr("")
    spec_text: str = ""
    manifests: dict[str, str] = {}
    secrets: dict[str, Secret] = {}
    registry: str = ""
    push_token: Secret = SecretStr("")
    pull_token: Secret = SecretStr("")
    checks: list[dict[str, Any]] = []
    page_url: str = ""


class OperationProgress(WireModel):
    """POST /internal/operations/{id}/progress, with the operation's token; renews its lease.

    Final states carry `result`: deploy {serving} or {diagnosis}, verify {passed, results}, release {}.
    """

    holder: str
    status: Literal["building", "deploying", "running", "succeeded", "failed"]
    log: list[str] = Field(default_factory=list, max_length=2000)
    log_source: Literal["build", "app"] = "build"
    result: dict[str, Any] = {}


class OperationAnswer(WireModel):
    """`cancelled` says: stop, somebody else asked for a newer revision or released the preview."""

    lease_seconds: float
    cancelled: bool = False
    evidence_id: str | None = None
