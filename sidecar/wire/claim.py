"""Claiming a session, and the bundle that an activation runs on."""

from typing import Any, Literal

from pydantic import Field

from sidecar.wire.model import Secret, WireModel


class ClaimRequest(WireModel):
    """POST /internal/sessions/claim, with the activation token.

    With `session_id` the run is an activation; with only `agent` it is a start, and `text` its message.
    """

    flow_run_id: str
    nonce: str = Field(min_length=8, max_length=128)
    agent: str | None = None
    session_id: str | None = None
    text: str | None = None
    trigger: Literal["user", "scheduler"] = "user"


class AttachmentModel(WireModel):
    repo: str
    branch: str
    mount_path: str
    allow_push: bool
    allow_branches: list[str]
    protected_paths: list[str] = []
    max_pack_bytes: int


class RuntimeModel(WireModel):
    """What the sidecar needs to start the agent's CLI; `name` picks the profile."""

    name: str
    model: str | None = None
    instructions: str = ""
    script: str | None = None
    mcp_servers: list[dict[str, str]] = []


class BusAccess(WireModel):
    """`user_jwt` and `user_seed` are a NATS user limited to this session, expiring with the token."""

    url: str
    user_jwt: Secret
    user_seed: Secret
    inbox_prefix: str


class EgressAccess(WireModel):
    """What the egress proxy lets this session's agent reach: `token` says the same to it."""

    token: Secret
    allow_hosts: list[str] = []


class SpawnableAgent(WireModel):
    id: str
    slug: str
    name: str
    runtime: str
    model: str | None
    description: str


class SessionBundle(WireModel):
    """All that an activation knows. `token`, `bus` and `egress` are replaced at each renewal."""

    session_id: str
    activation_id: str
    agent: str
    kind: str
    workspace: str
    generation: int
    parent_session_id: str | None
    root_session_id: str
    token: Secret
    token_seconds: float
    bus: BusAccess
    egress: EgressAccess | None = None
    direct_domains: list[str] = []
    """Domains that a pod reaches without the egress proxy: the previews', where it has one of its own."""
    attachments: list[AttachmentModel]
    runtime: RuntimeModel
    tools: list[str]
    spawnable: list[SpawnableAgent]
    idle_minutes: float
    turns_done: int
    page_url: str
    forge_host: str = "github.com"


class ClaimAnswer(WireModel):
    """`claimed` carries the bundle; `forwarded` names the live session; `lost` ends the run quietly."""

    outcome: Literal["claimed", "forwarded", "lost"]
    reason: str = ""
    bundle: SessionBundle | None = None
    session_id: str | None = None
    wake_id: str | None = None
    page_url: str | None = None


class RenewRequest(WireModel):
    """PUT /internal/sessions/{id}/lease. An expired token of the current generation is accepted."""

    holder: str
    usage: list[dict[str, Any]] = []
    activity: str | None = None
    """What the session does now, for the watchdog: `model`, `tool:<title>`, `human`, `idle`."""


class RenewAnswer(WireModel):
    token: Secret
    token_seconds: float
    bus: BusAccess
    egress: EgressAccess | None = None
    unread: int
    cancel_reason: str | None = None
    attachments: list[AttachmentModel]
    tools: list[str]


class ReleaseRequest(WireModel):
    """POST /internal/sessions/{id}/lease/release: `park` is refused while a wake is unread."""

    holder: str
    how: Literal["park", "stop"]
    reason: str = ""


class ReleaseAnswer(WireModel):
    status: str
    parked: bool
    unread: int


class EndRequest(WireModel):
    """POST /internal/sessions/{id}/end: the session becomes terminal and its parent is told."""

    holder: str
    summary: str = ""
    outcome: Literal["complete", "failed"] = "complete"
    detail: str | None = None


class EndAnswer(WireModel):
    status: str
    summary: str
    usage: list[dict[str, Any]]
