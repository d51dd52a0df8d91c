"""What the relay needs to know of the workloads that run its flows, and that it may remove one.

A workload is the Job that Prefect's worker makes for a flow run, with its pod. Prefect misses some of what
becomes of it (facts: a run stays Pending for ever when its worker dies, its pod cannot start or its node is
gone), so the relay looks itself.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sidecar.domain.ids import FlowRunId
from sidecar.domain.pod_diagnosis import Diagnosis


class WorkloadPhase(StrEnum):
    UNSEEN = "unseen"
    """Nobody can tell: there is no cluster here."""
    MISSING = "missing"
    """Neither a Job nor a pod."""
    STARTING = "starting"
    """There is a Job; its pod is not made, not placed, or has not begun."""
    RUNNING = "running"
    OVER = "over"
    """It ended, this way or that: no container of it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """`diagnosis` says what is wrong with it; None when nothing is known to be."""

    phase: WorkloadPhase
    diagnosis: Diagnosis | None = None


UNSEEN = Workload(phase=WorkloadPhase.UNSEEN)
MISSING = Workload(phase=WorkloadPhase.MISSING)


class Workloads(Protocol):
    """Every verb raises KubernetesUnavailable when the API does not answer, or refuses."""

    async def look(self, runs: Collection[FlowRunId]) -> Mapping[FlowRunId, Workload]:
        """What there is for each of `runs`, with diagnoses."""
        ...

    async def phases(self) -> Mapping[FlowRunId, WorkloadPhase]:
        """Of every flow run that has a workload here, ours or not known to us."""
        ...

    async def completed(self) -> Sequence[FlowRunId]:
        """Flow runs whose pod has done its work: no container runs, and none that counts failed."""
        ...

    async def remove(self, run: FlowRunId) -> Sequence[str]:
        """Its Jobs with their pods, and pods that lost their Job. Returns their names; repeatable."""
        ...


class NoWorkloads:
    """One machine: flow runs are processes of the worker, and end with it."""

    async def look(self, runs: Collection[FlowRunId]) -> Mapping[FlowRunId, Workload]:
        return dict.fromkeys(runs, UNSEEN)

    async def phases(self) -> Mapping[FlowRunId, WorkloadPhase]:
        return {}

    async def completed(self) -> Sequence[FlowRunId]:
        return ()

    async def remove(self, run: FlowRunId) -> Sequence[str]:
        del run
        return ()
