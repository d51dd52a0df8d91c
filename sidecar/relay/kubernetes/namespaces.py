"""Workloads of several namespaces as one: sessions run in one, operations on previews in another.

A flow run has its workload in one of them. They are asked one after another, each for what was not found yet.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain

from sidecar.domain.ids import FlowRunId
from sidecar.relay.workloads import MISSING, Workload, WorkloadPhase, Workloads


class WorkloadsOfNamespaces:
    """`namespaces` are at least one; the one that is asked for most comes first."""

    def __init__(self, *namespaces: Workloads) -> None:
        self._namespaces = namespaces

    async def look(self, runs: Collection[FlowRunId]) -> Mapping[FlowRunId, Workload]:
        found: dict[FlowRunId, Workload] = dict.fromkeys(runs, MISSING)
        for each in self._namespaces:
            missing = [run for run, workload in found.items() if workload == MISSING]
            found |= await each.look(missing)
        return found

    async def phases(self) -> Mapping[FlowRunId, WorkloadPhase]:
        found: dict[FlowRunId, WorkloadPhase] = {}
        for each in self._namespaces:
            found |= await each.phases()
        return found

    async def completed(self) -> Sequence[FlowRunId]:
        return [*chain.from_iterable([await each.completed() for each in self._namespaces])]

    async def remove(self, run: FlowRunId) -> Sequence[str]:
        return [*chain.from_iterable([await each.remove(run) for each in self._namespaces])]
