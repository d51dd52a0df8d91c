"""An agent: who is hired, with which runtime, repositories and limits."""

from dataclasses import dataclass, field
from enum import StrEnum

from sidecar.domain.attachment import Attachment
from sidecar.domain.budget import Budget
from sidecar.domain.ids import AgentSlug


class AgentKind(StrEnum):
    """Decides lifetime only; what an agent may do comes from grants."""

    WORKER = "worker"
    ORCHESTRATOR = "orchestrator"
    SCHEDULED = "scheduled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    children: int = 8
    depth: int = 3
    idle_minutes: float = 10.0
    deadline_minutes: float = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Either `cron` (five fields) or `interval_seconds`."""

    cron: str | None = None
    interval_seconds: float | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    slug: AgentSlug
    name: str
    kind: AgentKind
    runtime: str
    description: str = ""
    model: str | None = None
    image: str | None = None
    instructions: str = ""
    script: str | None = None
    """The scripted runtime's YAML text; None for every other runtime."""
    repos: tuple[Attachment, ...] = ()
    spawns: tuple[AgentSlug, ...] = ()
    schedule: Schedule | None = None
    heartbeat: str = "Heartbeat: look at your state and go on."
    requires_secrets: tuple[str, ...] = ()
    budget: Budget = field(default_factory=Budget)
    limits: Limits = field(default_factory=Limits)
    resources: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    mcp_servers: tuple[McpServer, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    workspace: str = "default"
