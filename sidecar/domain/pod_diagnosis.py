"""Why a pod does not run, in one text that a person and a model read alike.

Pure: Kubernetes' own JSON objects (core/v1 Pod and Event) in, a `Diagnosis` out. What the kubelet says of a
container (`sidecar.domain.container_diagnosis`) is nearest to the cause; then come what ended the pod as a
whole, volumes and the scheduler. Who asks, and what follows, is the caller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sidecar.domain.container_diagnosis import Trouble, diagnose_containers
from sidecar.domain.pod_events import after_colon, newest_first, newest_message, of_pod


class Cause(StrEnum):
    QUOTA = "quota"
    """The namespace's quota is used up: no pod is made."""
    CAPACITY = "capacity"
    """No node has room for the pod."""
    LOST = "lost"
    """The pod was there, and goes or went with its node or by an eviction: only another one helps."""
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """`is_temporary`: waiting may cure it, nobody has to change anything.

    `cause` tells apart what is waited for and what is replaced at once.
    """

    text: str
    is_temporary: bool
    cause: Cause = Cause.OTHER


_MOUNT_EVENTS: Final = ("FailedMount", "FailedAttachVolume")
_SANDBOX_EVENTS: Final = ("FailedCreatePodSandBox",)
_NODE_LOST: Final = ("NodeLost", "NodeNotReady", "NodeStatusUnknown", "DeletionByTaintManager")
_NODE_FULL: Final = "OutOf"
"""OutOfcpu, OutOfmemory, OutOfpods: the kubelet refused what the scheduler had placed."""
_DISRUPTIONS: Final = {
    "EvictionByEvictionAPI": "it was evicted",
    "PreemptionByScheduler": "it was preempted by a pod of higher priority",
    "TerminationByKubelet": "its node ended it",
    "DeletionByPodGC": "its node is gone",
}


def diagnose(
    pod: Mapping[str, Any] | None, *, events: Sequence[Mapping[str, Any]]
) -> Diagnosis | None:
    """None when nothing is known to be wrong: it runs, it succeeded, or it is on its way.

    `events` come in any order. With a pod, those about other objects are passed over; without one (it was
    never made), they are those of the Job or ReplicaSet that should have made it.
    """
    if pod is None:
        return _refusal(events)
    status: Mapping[str, Any] = pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return None
    mine = newest_first(of_pod(pod, events))
    return (
        _ended_by_kubernetes(status)
        or _node_lost(status, mine)
        or _containers(pod, mine)
        or _unscheduled(status)
        or _unprepared(status, mine)
    )


def _refusal(events: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    message = newest_message(newest_first(events), ("FailedCreate",))
    if message is None:
        return None
    if "exceeded quota" in message:
        text = f"the namespace's quota leaves no room for it: {_after_forbidden(message)}"
        return Diagnosis(text=text, is_temporary=True, cause=Cause.QUOTA)
    text = f"Kubernetes refuses to make its pod: {_after_forbidden(message)}"
    is_temporary = "is forbidden" not in message and "not found" not in message
    return Diagnosis(text=text, is_temporary=is_temporary)


def _after_forbidden(message: str) -> str:
    """Without the name of a pod that never was."""
    return message.partition(" is forbidden: ")[2] or message.removeprefix("Error creating: ")


def _ended_by_kubernetes(status: Mapping[str, Any]) -> Diagnosis | None:
    reason = str(status.get("reason") or "")
    if status.get("phase") != "Failed" or not reason or reason in _NODE_LOST:
        return _disrupted(status)
    message = after_colon(status.get("message"))
    if reason == "Evicted":
        return Diagnosis(text=f"it was evicted{message}", is_temporary=True, cause=Cause.LOST)
    if reason.startswith(_NODE_FULL):
        text = f"its node had no room for it ({reason}){message}"
        return Diagnosis(text=text, is_temporary=True, cause=Cause.CAPACITY)
    return Diagnosis(
        text=f"Kubernetes ended it ({reason}){message}", is_temporary=reason != "DeadlineExceeded"
    )


def _disrupted(status: Mapping[str, Any]) -> Diagnosis | None:
    condition = _condition(status, "DisruptionTarget")
    if condition.get("status") != "True":
        return None
    said = _DISRUPTIONS.get(str(condition.get("reason")))
    if said is None:
        return None
    text = f"{said}{after_colon(condition.get('message'))}"
    return Diagnosis(text=text, is_temporary=True, cause=Cause.LOST)


def _node_lost(status: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    """The node's event outlives its absence, so it counts only while the pod is not ready."""
    told = newest_message(events, ("NodeNotReady",))
    is_ready = _condition(status, "Ready").get("status") == "True"
    reasons = [status.get("reason"), *(each.get("reason") for each in _conditions(status))]
    is_lost = status.get("phase") == "Unknown" or any(each in _NODE_LOST for each in reasons)
    if not is_lost and (is_ready or told is None):
        return None
    text = f"its node does not answer any more{after_colon(status.get('message') or told)}"
    return Diagnosis(text=text, is_temporary=True, cause=Cause.LOST)


def _containers(pod: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    troubles: Sequence[Trouble] = diagnose_containers(pod, events)
    if not troubles:
        return None
    return Diagnosis(
        text="; ".join(each.text for each in troubles),
        is_temporary=all(each.is_temporary for each in troubles),
    )


def _unscheduled(status: Mapping[str, Any]) -> Diagnosis | None:
    condition = _condition(status, "PodScheduled")
    if condition.get("status") != "False":
        return None
    text = f"no node takes it{after_colon(condition.get('message'))}"
    return Diagnosis(text=text, is_temporary=True, cause=Cause.CAPACITY)


def _unprepared(status: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    if status.get("phase") != "Pending":
        return None
    mount = newest_message(events, _MOUNT_EVENTS)
    if mount is not None:
        text = f"a volume cannot be mounted: {mount}"
        return Diagnosis(text=text, is_temporary="not found" not in mount)
    sandbox = newest_message(events, _SANDBOX_EVENTS)
    if sandbox is None:
        return None
    return Diagnosis(text=f"its node cannot set it up: {sandbox}", is_temporary=True)


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((each for each in _conditions(status) if each.get("type") == kind), {})


def _conditions(status: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return status.get("conditions") or ()
