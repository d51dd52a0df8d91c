"""A session: one agent's continuous engagement. It outlives flow runs, pods and machines."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sidecar.domain.agent import AgentKind
from sidecar.domain.budget import Budget, ModelUsage
from sidecar.domain.ids import ActivationId, AgentSlug, FlowRunId, Repository, Revision, SessionId


class SessionStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    PARKED = "parked"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({SessionStatus.COMPLETE, SessionStatus.FAILED, SessionStatus.CANCELLED})


class TriggeredBy(StrEnum):
    USER = "user"
    SCHEDULER = "scheduler"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecReference:
    """A committed session spec: the contract precedes the hire."""

    repo: Repository
    path: str
    commit: Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The row. Times are UTC. `last_sequence` is the newest event's reader-visible number.

    `failures` counts activations in a row that ended without a finished turn; five fail the session.
    `quiet_*` are the watchdog's hint and state; `cancel_reason` set means a cancel was asked for.
    """

    id: SessionId
    workspace: str
    agent: AgentSlug
    kind: AgentKind
    runtime: str
    root_session_id: SessionId
    triggered_by: TriggeredBy
    created_at: datetime
    model: str | None = None
    parent_session_id: SessionId | None = None
    depth: int = 0
    triggered_by_name: str | None = None
    status: SessionStatus = SessionStatus.PENDING
    generation: int = 0
    lease_holder: str | None = None
    lease_expires_at: datetime | None = None
    spec: SpecReference | None = None
    branch: str | None = None
    brief: str | None = None
    item: str | None = None
    started_at: datetime | None = None
    last_event_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str | None = None
    summary: str | None = None
    usage: tuple[ModelUsage, ...] = ()
    budget: Budget = field(default_factory=Budget)
    last_sequence: int = 0
    turns: int = 0
    failures: int = 0
    cancel_reason: str | None = None
    quiet_until: datetime | None = None
    quiet_reason: str | None = None
    watchdog_due_at: datetime | None = None
    watchdog_level: int = 0
    status_text: str | None = None


class ActivationState(StrEnum):
    REQUESTED = "requested"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """One flow run that holds a session's lease and drives its turns. At most one is open a session.

    `not_before` delays the flow run's creation (backoff); `flow_run_id` is None until Prefect has it;
    `running_since` is when Prefect was first seen running it, from which the claim deadline counts;
    `queued_reason` says what a run that cannot start waits for.
    """

    id: ActivationId
    session_id: SessionId
    state: ActivationState
    requested_at: datetime
    generation: int | None = None
    flow_run_id: FlowRunId | None = None
    holder: str | None = None
    not_before: datetime | None = None
    running_since: datetime | None = None
    claimed_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    queued_reason: str | None = None
    turns: int = 0
