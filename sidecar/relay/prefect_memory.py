"""Prefect in memory: the double of `sidecar.relay.prefect_rest`, moved by hand through a run's states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

from sidecar.domain.errors import AgentUnknown, PrefectUnavailable
from sidecar.domain.ids import FlowRunId
from sidecar.relay.prefect import RunPhase, RunState

_ENDED = (RunPhase.FINAL, RunPhase.MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRun:
    id: FlowRunId
    deployment: str
    parameters: Mapping[str, str | None]
    name: str
    key: str
    tags: tuple[str, ...] = ()
    parent: FlowRunId | None = None
    label: str = ""
    state: RunState = field(
        default_factory=lambda: RunState(phase=RunPhase.WAITING, name="Scheduled")
    )


class MemoryPrefect:
    """`deployments` None knows every deployment. `is_away` makes every verb raise PrefectUnavailable."""

    def __init__(self, deployments: Sequence[str] | None = None) -> None:
        self.runs: dict[FlowRunId, MemoryRun] = {}
        self.deployments = deployments
        self.is_away = False

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
        self._answer()
        if self.deployments is not None and deployment not in self.deployments:
            raise AgentUnknown(f"Prefect has no deployment {deployment}: run `x1 agents apply`")
        known = next((run for run in self.runs.values() if run.key == idempotency_key), None)
        if known is not None:
            return known.id
        run = MemoryRun(
            id=FlowRunId(str(uuid4())),
            deployment=deployment,
            parameters=dict(parameters),
            name=name,
            key=idempotency_key,
            tags=tuple(tags),
            parent=parent,
            label=label,
        )
        self.runs[run.id] = run
        return run.id

    async def states(self, flow_run_ids: Sequence[FlowRunId]) -> Mapping[FlowRunId, RunState]:
        self._answer()
        return {each: self._state(each) for each in flow_run_ids}

    async def cancel(self, flow_run_id: FlowRunId) -> None:
        self._answer()
        if self._state(flow_run_id).phase not in _ENDED:
            self.move(flow_run_id, RunPhase.CANCELLED, "Cancelled")

    async def abandon(self, flow_run_id: FlowRunId, reason: str) -> None:
        self._answer()
        if self._state(flow_run_id).phase not in (*_ENDED, RunPhase.CANCELLED):
            self.move(flow_run_id, RunPhase.FINAL, "Crashed", reason)

    async def ping(self) -> None:
        self._answer()

    def move(
        self,
        flow_run_id: FlowRunId,
        phase: RunPhase,
        name: str = "",
        message: str = "",
        *,
        by_parent: bool = False,
    ) -> None:
        """Puts a run into a state, as a worker, a crash or a person would."""
        state = RunState(
            phase=phase, name=name or phase.value.title(), message=message, by_parent=by_parent
        )
        self.runs[flow_run_id] = replace(self.runs[flow_run_id], state=state)

    def _state(self, run: FlowRunId) -> RunState:
        known = self.runs.get(run)
        return known.state if known else RunState(phase=RunPhase.MISSING, name="Missing")

    def _answer(self) -> None:
        if self.is_away:
            raise PrefectUnavailable("Prefect does not answer")
