"""Workloads of flow runs as Kubernetes' API shows them: Jobs and pods of one namespace, by Prefect's label.

A pod carries the label too, so what is left of a Job that somebody removed is still found. Events are read
only where the objects themselves do not say why.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.errors import KubernetesUnavailable
from sidecar.domain.ids import FlowRunId
from sidecar.domain.pod_diagnosis import Diagnosis, diagnose
from sidecar.relay.workloads import MISSING, Workload, WorkloadPhase

RUN_LABEL: Final = "prefect.io/flow-run-id"
OURS: Final = f"{RUN_LABEL},app.kubernetes.io/component in (session,preview)"
"""What the work pools' templates put on their Jobs and pods."""
COMPLETED: Final = "status.phase=Succeeded"
BATCH: Final = 50
"""Flow runs a selector: some 2 KB of URL."""
PAGE: Final = "250"
NOT_FOUND: Final = 404

Object = Mapping[str, Any]
Objects = Sequence[Object]
ByRun = Mapping[FlowRunId, tuple[Objects, Objects]]
"""Jobs and pods of each flow run; at least one of them."""

_PHASES: Final[Mapping[str, WorkloadPhase]] = {
    "Running": WorkloadPhase.RUNNING,
    "Succeeded": WorkloadPhase.OVER,
    "Failed": WorkloadPhase.OVER,
}


class KubernetesWorkloads:
    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._events = f"/api/v1/namespaces/{namespace}/events"

    async def look(self, runs: Collection[FlowRunId]) -> Mapping[FlowRunId, Workload]:
        found: dict[FlowRunId, Workload] = dict.fromkeys(runs, MISSING)
        asked = list(found)
        for start in range(0, len(asked), BATCH):
            selector = f"{RUN_LABEL} in ({','.join(asked[start : start + BATCH])})"
            found |= await self._workloads(await self._by_run(selector))
        return found

    async def phases(self) -> Mapping[FlowRunId, WorkloadPhase]:
        there = await self._by_run(OURS)
        return {run: _phase(jobs, pods) for run, (jobs, pods) in there.items()}

    async def completed(self) -> Sequence[FlowRunId]:
        """Asked every second, so only those are listed; usually there is none."""
        pods = await self._list(self._pods, labelSelector=OURS, fieldSelector=COMPLETED)
        return [run for run, mine in _grouped(pods).items() if any(map(_is_there, mine))]

    async def remove(self, run: FlowRunId) -> Sequence[str]:
        jobs, pods = (await self._by_run(f"{RUN_LABEL}={run}")).get(run, ((), ()))
        removed = [await self._delete("Job", self._jobs, each) for each in jobs]
        orphans = (each for each in pods if not each["metadata"].get("ownerReferences"))
        removed += [await self._delete("Pod", self._pods, each) for each in orphans]
        return [each for each in removed if each]

    async def _delete(self, kind: str, path: str, found: Object) -> str | None:
        """Its pods go with it, each in its own grace period. None when it went meanwhile."""
        if not _is_there(found):
            return None
        name = found["metadata"]["name"]
        try:
            body = {"propagationPolicy": "Background"}
            await self._api.call("DELETE", f"{path}/{name}", body=body)
        except KubernetesUnavailable as error:
            if error.status != NOT_FOUND:
                raise
            return None
        return f"{kind} {name}"

    async def _by_run(self, selector: str) -> ByRun:
        pods = _grouped(await self._list(self._pods, labelSelector=selector))
        jobs = _grouped(await self._list(self._jobs, labelSelector=selector))
        return {run: (jobs.get(run, ()), pods.get(run, ())) for run in {*jobs, *pods}}

    async def _workloads(self, there: ByRun) -> Mapping[FlowRunId, Workload]:
        """Refusals are read in one go: when a quota is used up, many wait for it."""
        is_any_podless = any(not pods for _, pods in there.values())
        refusals = await self._events_with("reason=FailedCreate") if is_any_podless else ()
        return {
            run: Workload(
                phase=_phase(jobs, pods),
                diagnosis=await self._diagnosis(_newest(jobs), _newest(pods), refusals),
            )
            for run, (jobs, pods) in there.items()
        }

    async def _diagnosis(
        self, job: Object | None, pod: Object | None, refusals: Objects
    ) -> Diagnosis | None:
        if pod is None:
            uid = job["metadata"]["uid"] if job else ""
            mine = [each for each in refusals if each["involvedObject"].get("uid") == uid]
            return diagnose(None, events=mine)
        if not _is_unclear(pod):
            return diagnose(pod, events=())
        return diagnose(pod, events=await self._events_with(_about(pod)))

    async def _events_with(self, selector: str) -> Objects:
        return await self._list(self._events, fieldSelector=selector)

    async def _list(self, path: str, **query: str) -> Objects:
        items: list[Object] = []
        query |= {"limit": PAGE}
        while True:
            answer = await self._api.call("GET", path, query=query)
            items += answer.get("items") or ()
            following = (answer.get("metadata") or {}).get("continue")
            if not following:
                return items
            query["continue"] = following


def _grouped(objects: Objects) -> Mapping[FlowRunId, Objects]:
    found: defaultdict[FlowRunId, list[Object]] = defaultdict(list)
    for each in objects:
        found[FlowRunId(each["metadata"]["labels"][RUN_LABEL])].append(each)
    return found


def _phase(jobs: Objects, pods: Objects) -> WorkloadPhase:
    pod = _newest(pods)
    if pod is not None:
        return _PHASES.get((pod.get("status") or {}).get("phase", ""), WorkloadPhase.STARTING)
    status = [each.get("status") or {} for each in jobs]
    is_over = all(
        each.get("failed") or each.get("succeeded") or _has_ended(each) for each in status
    )
    return WorkloadPhase.OVER if is_over else WorkloadPhase.STARTING


def _has_ended(job: Object) -> bool:
    """A Job that failed without a pod, by its deadline, say."""
    return any(
        each.get("type") in ("Complete", "Failed") and each.get("status") == "True"
        for each in job.get("conditions") or ()
    )


def _newest(objects: Iterable[Object]) -> Object | None:
    """One that has not ended counts before those that have, the youngest of them first."""
    return max(objects, default=None, key=lambda each: (not _is_over(each), _created(each)))


def _is_over(found: Object) -> bool:
    return (found.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _is_there(found: Object) -> bool:
    return "deletionTimestamp" not in found["metadata"]


def _about(pod: Object) -> str:
    return f"involvedObject.uid={pod['metadata']['uid']}"


def _created(found: Object) -> str:
    return str(found["metadata"].get("creationTimestamp") or "")


def _is_unclear(pod: Object) -> bool:
    """Neither well nor over, and its own status does not say why."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return not is_ready and not _is_over(pod) and diagnose(pod, events=()) is None
