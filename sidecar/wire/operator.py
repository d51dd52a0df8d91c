"""What the operator's API takes and answers. A list is wrapped in an object under its own name."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from sidecar.domain.agent import AgentKind
from sidecar.domain.grant import GrantScope, GrantType
from sidecar.domain.preview import PreviewStatus
from sidecar.domain.request import RequestKind
from sidecar.domain.session import SessionStatus, TriggeredBy
from sidecar.wire.agent_model import SLUG
from sidecar.wire.model import StrictModel, WireModel
from sidecar.wire.sessions import EventModel
from sidecar.wire.wakes import MAX_TEXT, WakeModel

MAX_FILES = 200
MAX_TEXTS = 1000
ID = r"^[0-9a-fA-F-]{4,36}$"


class RowModel(WireModel):
    """Read from a domain object by its attributes' names."""

    model_config = ConfigDict(extra="ignore", frozen=True, from_attributes=True)


class UsageModel(RowModel):
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    usd: float


class BudgetModel(RowModel):
    usd: float | None
    tokens: int | None
    turns: int | None
    wall_minutes: int | None
    usd_per_day: float | None
    tokens_per_day: int | None


class SpecReferenceModel(RowModel):
    repo: str
    path: str
    commit: str


class SessionModel(WireModel):
    """`flow_run_*` and `waits_for` are of the newest activation; `url` is the session's page."""

    id: str
    workspace: str
    agent: str
    kind: AgentKind
    runtime: str
    model: str | None
    status: SessionStatus
    parent_session_id: str | None
    root_session_id: str
    depth: int
    generation: int
    triggered_by: TriggeredBy
    triggered_by_name: str | None
    spec: SpecReferenceModel | None
    branch: str | None
    item: str | None
    brief: str | None
    created_at: datetime
    started_at: datetime | None
    last_event_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    summary: str | None
    status_text: str | None
    cancel_reason: str | None
    turns: int
    failures: int
    last_sequence: int
    usage: list[UsageModel]
    budget: BudgetModel
    url: str
    activation_id: str | None
    flow_run_id: str | None
    flow_run_url: str | None
    waits_for: str | None


class SessionsAnswer(WireModel):
    """Newest first."""

    sessions: list[SessionModel]


class SessionDetail(SessionModel):
    """`last_failure`: why the newest activation ended without a turn, while the session is tried again."""

    last_failure: str | None
    children: list[SessionModel]
    previews: list["PreviewModel"]


class StartRequest(StrictModel):
    """A live orchestrator or scheduled agent is woken with `text`; everything else begins a session."""

    agent: str = Field(pattern=SLUG)
    text: str | None = Field(default=None, min_length=1, max_length=MAX_TEXT)


class StartAnswer(WireModel):
    outcome: Literal["started", "woken"]
    session_id: str
    wake_id: str
    status: SessionStatus
    url: str


class CancelRequest(StrictModel):
    reason: str = Field(min_length=1, max_length=2000)


class CancelAnswer(WireModel):
    """`cancelling` while somebody still runs the session."""

    session_id: str
    status: str


class EventsAnswer(WireModel):
    """Oldest first. `last_sequence` is what to ask after next."""

    events: list[EventModel]
    last_sequence: int


class WakesAnswer(WireModel):
    """Newest first."""

    wakes: list[WakeModel]


class SayRequest(StrictModel):
    """With an Idempotency-Key, a repeat answers with the first wake."""

    session_id: str = Field(pattern=ID)
    text: str = Field(min_length=1, max_length=MAX_TEXT)


class AttachmentModel(RowModel):
    repo: str
    branch: str
    mount_path: str
    allow_push: bool
    allow_branches: list[str]
    allow_merge: bool
    protected_paths: list[str]
    max_pack_bytes: int


class ScheduleModel(RowModel):
    cron: str | None
    interval_seconds: float | None
    timezone: str


class LimitsModel(RowModel):
    children: int
    depth: int
    idle_minutes: float
    deadline_minutes: float


class McpServerModel(RowModel):
    name: str
    url: str


class AgentModel(RowModel):
    """As it stands; texts are left out."""

    slug: str
    name: str
    kind: AgentKind
    runtime: str
    description: str
    model: str | None
    image: str | None
    repos: list[AttachmentModel]
    spawns: list[str]
    schedule: ScheduleModel | None
    requires_secrets: list[str]
    budget: BudgetModel
    limits: LimitsModel
    mcp_servers: list[McpServerModel]
    allow_hosts: list[str]
    workspace: str


class AgentsAnswer(WireModel):
    agents: list[AgentModel]


class NamedText(StrictModel):
    path: str = Field(min_length=1, max_length=512)
    text: str = Field(max_length=256 * 1024)


class AgentFiles(StrictModel):
    """`texts` are the files that agents name beside themselves, by relative path.

    `unreadable` says of a path why the sender could not read it as text: a finding for the agent that it is,
    or that names it.
    """

    files: list[NamedText] = Field(min_length=1, max_length=MAX_FILES)
    texts: dict[str, str] = Field(default_factory=dict, max_length=MAX_TEXTS)
    unreadable: dict[str, str] = Field(default_factory=dict, max_length=MAX_TEXTS)


class GrantAsked(WireModel):
    type: GrantType
    target: str


class AgentChange(WireModel):
    """`grants` are given when this is applied. `unasked` stand although the file no longer asks for them."""

    agent: str
    action: Literal["create", "update", "grant", "keep"]
    fields: list[str]
    grants: list[GrantAsked]
    unasked: list[GrantAsked]


class UnknownSpawn(WireModel):
    agent: str
    target: str


class PlanAnswer(WireModel):
    """Only what differs is in `changes`. `unknown` names who may be spawned and is no agent, yet or by mistake."""

    applied: bool
    changes: list[AgentChange]
    unchanged: list[str]
    unknown: list[UnknownSpawn]


class PreviewModel(RowModel):
    id: str
    workspace: str
    repo: str
    branch: str
    revision: str
    serving: str | None
    status: PreviewStatus
    url: str
    alias_url: str
    diagnosis: str | None
    waits_for: str | None
    owner_session_id: str
    root_session_id: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    released_at: datetime | None


class PreviewsAnswer(WireModel):
    previews: list[PreviewModel]


class LogAnswer(WireModel):
    lines: list[str]


class ReleaseAnswer(WireModel):
    preview_id: str
    status: str


class RollbackAnswer(WireModel):
    """`revision` is what is being deployed again."""

    preview_id: str
    status: str
    revision: str


class GrantModel(RowModel):
    id: str
    agent: str
    type: GrantType
    target: str
    scope: GrantScope
    granted_by: str
    created_at: datetime
    session_id: str | None
    revoked_at: datetime | None
    consumed_at: datetime | None


class GrantsAnswer(WireModel):
    grants: list[GrantModel]


_ONE_SESSION: Final[dict[str, Any]] = {
    "if": {"properties": {"scope": {"const": "session"}}, "required": ["scope"]},
    "then": {"properties": {"session_id": {"type": "string"}}, "required": ["session_id"]},
    "else": {"properties": {"session_id": {"type": "null"}}},
}


class GrantRequest(StrictModel):
    """What stands already is not given twice."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_ONE_SESSION)

    agent: str = Field(pattern=SLUG)
    type: GrantType
    target: str = Field(min_length=1, max_length=200)
    scope: GrantScope = GrantScope.PERSISTENT
    session_id: str | None = Field(default=None, pattern=ID)
    """Expected for scope `session`, and only there."""


class ApprovalModel(WireModel):
    """What a live session waits for."""

    id: str
    session_id: str
    agent: str
    kind: RequestKind
    status: Literal["open", "answered"]
    question: str
    options: list[str]
    created_at: datetime
    answer: str | None
    answered_by: str | None
    answered_at: datetime | None


class ApprovalsAnswer(WireModel):
    approvals: list[ApprovalModel]


class ApprovalRequest(StrictModel):
    answer: str = Field(min_length=1, max_length=8000)


class AgentCost(WireModel):
    agent: str
    sessions: int
    turns: int
    usd: float
    tokens: int


class CostsAnswer(WireModel):
    """Of the sessions created on `day` (UTC), or of all."""

    day: str | None
    usd: float
    tokens: dict[str, int]
    agents: list[AgentCost]


class AuditModel(RowModel):
    at: datetime
    actor: str
    action: str
    target: str
    allowed: bool
    reason: str
    details: dict[str, Any]


class AuditAnswer(WireModel):
    """Newest first."""

    audit: list[AuditModel]


class FindingModel(WireModel):
    path: str
    message: str
    line: int | None


class ErrorModel(WireModel):
    code: str
    message: str
    findings: list[FindingModel]


class ErrorAnswer(WireModel):
    """Every refusal."""

    error: ErrorModel


SessionDetail.model_rebuild()
