"""What the relay needs of Prefect: flow runs under their caller's run, their states, cancelling them.

Spoken over Prefect's REST API: the services never import Prefect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sidecar.domain.ids import FlowRunId

CANCELLED_IN_PREFECT = "its flow run was cancelled in Prefect"
"""Why a session is cancelled whose flow run a person cancelled there."""


class RunPhase(StrEnum):
    """Prefect's state types, folded: what the relay decides on."""

    WAITING = "waiting"
    """SCHEDULED, PENDING, PAUSED: not started, or waits for a worker."""
    RUNNING = "running"
    CANCELLED = "cancelled"
    """CANCELLING too: a human asked for it."""
    FINAL = "final"
    """COMPLETED, FAILED, CRASHED."""
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    phase: RunPhase
    name: str
    """Prefect's own state name, e.g. `Late`, `AwaitingConcurrencySlot`."""
    message: str = ""
    by_parent: bool = False
    """Cancelled by Prefect because the run it is linked under was, not by anybody's wish for this one."""

    @property
    def has_ended(self) -> bool:
        """Nothing changes it any more. A run that is only being cancelled has not ended."""
        return self.phase in (RunPhase.FINAL, RunPhase.MISSING) or self.name == "Cancelled"


class Prefect(Protocol):
    """Every verb raises PrefectUnavailable when Prefect does not answer."""

    async def start(
        self,
        *,
        deployment: str,
        parameters: Mapping[str, str | None],
        name: str,
        idempotency_key: str,
        tags: Sequence[str] = (),
        parent: FlowRunId | None = None,
        label: str = "",
    ) -> FlowRunId:
        """Creates a flow run of `flow/deployment`, once per key, shown under `parent`'s run when given.

        `parameters` are ids only: agents' text never travels through Prefect. `label` names the link's node.
        Raises AgentUnknown when there is no such deployment.
        """
        ...

    async def states(self, flow_run_ids: Sequence[FlowRunId]) -> Mapping[FlowRunId, RunState]: ...

    async def cancel(self, flow_run_id: FlowRunId) -> None:
        """Repeatable; unknown and final runs are left as they are."""
        ...

    async def abandon(self, flow_run_id: FlowRunId, reason: str) -> None:
        """Marks a run that was given up as Crashed, unless it is final. Repeatable.

        Its linked runs are left alone, which a cancel would not: Prefect cancels the linked runs of a
        cancelled run, and the children of a session whose activation died go on.
        """
        ...

    async def ping(self) -> None: ...
