"""Workloads in memory: the double of `sidecar.relay.kubernetes.workloads`, moved by hand."""

from collections.abc import Collection, Mapping, Sequence

from sidecar.domain.errors import KubernetesUnavailable
from sidecar.domain.ids import FlowRunId
from sidecar.domain.pod_diagnosis import Diagnosis
from sidecar.relay.workloads import MISSING, Workload, WorkloadPhase


class MemoryWorkloads:
    """What is over without a diagnosis has completed. `is_away` makes every verb raise KubernetesUnavailable."""

    def __init__(self) -> None:
        self.workloads: dict[FlowRunId, Workload] = {}
        self.is_away = False

    def move(
        self, run: FlowRunId, phase: WorkloadPhase, diagnosis: Diagnosis | None = None
    ) -> None:
        """Makes a flow run's workload, or puts it into another phase."""
        self.workloads[run] = Workload(phase=phase, diagnosis=diagnosis)

    async def look(self, runs: Collection[FlowRunId]) -> Mapping[FlowRunId, Workload]:
        self._answer()
        return {run: self.workloads.get(run, MISSING) for run in runs}

    async def phases(self) -> Mapping[FlowRunId, WorkloadPhase]:
        self._answer()
        return {run: each.phase for run, each in self.workloads.items()}

    async def completed(self) -> Sequence[FlowRunId]:
        self._answer()
        done = Workload(phase=WorkloadPhase.OVER)
        return [run for run, each in self.workloads.items() if each == done]

    async def remove(self, run: FlowRunId) -> Sequence[str]:
        self._answer()
        return (f"Job {run}",) if self.workloads.pop(run, None) else ()

    def _answer(self) -> None:
        if self.is_away:
            raise KubernetesUnavailable("Kubernetes' API does not answer")
