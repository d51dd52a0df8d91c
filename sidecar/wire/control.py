"""The pod's control API, between a flow and its sidecar, over a Unix socket that the agent cannot reach.

    PUT  /session     HandOver      → 204            once; the sidecar had no session before
    POST /checkout                  → CheckoutAnswer brings saved state back, then clones what is not there
    POST /boot                      → BootAnswer     starts the runtime, new or loaded
    GET  /steps?after=N&wait=S      → Step | 204     the next thing the story has to tell
    GET  /turns/{n}?wait=S          → TurnReport     state `running` when the wait ran out
    POST /park                      → ParkAnswer     stops the runtime, then parks unless a wake is unread
    POST /end                       → EndAnswer      stops the runtime, then ends the session
    POST /stop        StopRequest   → 204            gives the lease up; the process exits
    GET  /healthz                   → 200

Errors are `{"error": {"code", "message"}}`; 409 `lease_lost` ends the activation at once.
"""

from typing import Any, Literal

from sidecar.wire.claim import SessionBundle
from sidecar.wire.model import WireModel


class HandOver(WireModel):
    """`state_dir` outlives the activation (journal, runtime home); `workspace_dir` holds the checkouts."""

    bundle: SessionBundle
    holder: str
    workspace_dir: str
    state_dir: str


class CheckedOut(WireModel):
    repo: str
    path: str
    branch: str
    revision: str | None


class CheckoutAnswer(WireModel):
    repositories: list[CheckedOut]


class BootAnswer(WireModel):
    runtime: str
    runtime_version: str = ""
    resumed: bool
    mcp_tools: list[str]


class Step(WireModel):
    """`n` rises by one a step. A turn step carries its turn number and a title that names the wake."""

    n: int
    kind: Literal["turn", "park", "end", "cancelled", "lost", "failed"]
    turn: int | None = None
    title: str = ""
    wake_ids: list[str] = []
    reason: str = ""


class TurnReport(WireModel):
    turn: int
    state: Literal["running", "ended"]
    stop_reason: str | None = None
    usage: list[dict[str, Any]] = []
    events: int = 0
    tool_calls: int = 0
    error: str | None = None
    pushed: list[str] = []


class ParkAnswer(WireModel):
    parked: bool
    unread: int


class StopRequest(WireModel):
    reason: str = ""
