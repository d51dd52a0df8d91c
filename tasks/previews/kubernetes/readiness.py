"""Is a revision up, and nothing but it? If not: why, in one text."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sidecar.domain.pod_diagnosis import Diagnosis, diagnose
from tasks.previews.errors import NotProven
from tasks.previews.kubernetes.namespace import Namespace

Object = Mapping[str, Any]

POLL_SECONDS: Final = 0.5
SERVED_SECONDS: Final = 30.0
"""From ready pods to their addresses behind the Service."""
HOPELESS_SECONDS: Final = 20.0
"""What looks permanent may mend itself while this long: a registry that starts, a Secret that is on its way."""
TAIL: Final = 50


async def await_ready(here: Namespace, kind: str, name: str, seconds: float) -> None:
    """As many pods as wished, of this generation alone. Raises NotProven with the reason and a log."""
    clock = asyncio.get_running_loop().time
    deadline, hopeless_at = clock() + seconds, None
    while True:
        workload = await here.get(kind, name)
        if workload is None:
            raise NotProven(f"{kind} {name} was removed while it started")
        if is_ready(workload):
            return
        pods = await pods_of(here, workload)
        reason = await _why(here, workload, pods)
        is_hopeless = reason is not None and not reason.is_temporary
        hopeless_at = (hopeless_at or clock() + HOPELESS_SECONDS) if is_hopeless else None
        if clock() >= min(deadline, hopeless_at or deadline):
            words = await _last_words(here, pods)
            raise NotProven(f"{kind} {name} is not ready", words, diagnosis=_said(reason, seconds))
        await asyncio.sleep(POLL_SECONDS)


async def await_served(here: Namespace, service: str, selector: Mapping[str, str]) -> None:
    """Behind the Service stand pods with these labels, and no others. Raises NotProven."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + SERVED_SECONDS
    while True:
        behind = await _endpoints(here, service)
        ours = {each["metadata"]["name"] for each in await here.find("Pod", selector)}
        if behind and behind <= ours:
            return
        if clock() >= deadline:
            others = ", ".join(sorted(behind - ours)) or "nobody"
            raise NotProven(f"behind the Service stands {others}: it leads to no port that is open")
        await asyncio.sleep(POLL_SECONDS)


def is_ready(workload: Object) -> bool:
    """https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment"""
    wanted, status = workload["spec"].get("replicas", 1), workload.get("status", {})
    return status.get("observedGeneration") == workload["metadata"]["generation"] and all(
        status.get(each, 0) == wanted for each in ("updatedReplicas", "readyReplicas", "replicas")
    )


async def pods_of(here: Namespace, workload: Object) -> Sequence[Object]:
    """The newest first."""
    found = await here.find("Pod", workload["spec"]["selector"]["matchLabels"])
    return sorted(found, key=lambda each: each["metadata"]["creationTimestamp"], reverse=True)


async def _endpoints(here: Namespace, service: str) -> set[str]:
    """Names of the pods that traffic goes to."""
    slices = await here.find("EndpointSlice", {"kubernetes.io/service-name": service})
    return {
        each["targetRef"]["name"]
        for one in slices
        for each in one.get("endpoints") or ()
        if each.get("conditions", {}).get("ready") and each.get("targetRef")
    }


async def _why(here: Namespace, workload: Object, pods: Sequence[Object]) -> Diagnosis | None:
    """Of the newest pod that is not well, or of who may not make one."""
    events = await here.find("Event")
    found = (diagnose(pod, events=events) for pod in pods)
    unwell = next((each for each in found if each is not None), None)
    if unwell is not None or len(pods) >= workload["spec"].get("replicas", 1):
        return unwell
    name = workload["metadata"]["name"]
    return diagnose(None, events=[each for each in events if _is_about(each, name)])


def _is_about(event: Object, workload: str) -> bool:
    """The workload itself, or a ReplicaSet of it: names of ours end in a digest, so none begins like another."""
    name = str(event.get("involvedObject", {}).get("name", ""))
    return name == workload or name.startswith(f"{workload}-")


def _said(reason: Diagnosis | None, seconds: float) -> str:
    if reason is not None:
        return reason.text
    return (
        f"it was not ready within {seconds:g} s, and neither the kubelet nor the scheduler says why"
    )


async def _last_words(here: Namespace, pods: Sequence[Object]) -> list[str]:
    """Of the container that is not ready, else of the first."""
    for pod in pods[:1]:
        statuses = pod.get("status", {}).get("containerStatuses") or ()
        unwell = [each["name"] for each in statuses if not each.get("ready")]
        name = unwell[0] if unwell else pod["spec"]["containers"][0]["name"]
        return await here.log(pod["metadata"]["name"], name, TAIL)
    return []
