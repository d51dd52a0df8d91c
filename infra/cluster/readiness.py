"""Waiting for what was installed, with words for what it waits for."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from infra.cluster.kubectl import Kubectl
from infra.local.errors import AskedFailed

WORKLOADS: Final = ("deployment", "statefulset")
READY_SECONDS: Final = 300.0
POLL_SECONDS: Final = 1.0
SAY_SECONDS: Final = 10.0
HARMLESS: Final = ("ContainerCreating", "PodInitializing", "Completed")

Say = Callable[[str], None]


def await_ready(kubectl: Kubectl, objects: Sequence[Mapping[str, Any]], say: Say) -> None:
    """Until each Deployment and StatefulSet among `objects` runs as wished. Raises AskedFailed with reasons."""
    waiting = {
        (each["kind"].lower(), each["metadata"]["namespace"], each["metadata"]["name"]): 0
        for each in objects
        if each["kind"].lower() in WORKLOADS
    }
    deadline, next_word = time.monotonic() + READY_SECONDS, time.monotonic() + SAY_SECONDS
    while waiting:
        for key in list(waiting):
            if _is_ready(kubectl.get(key[0], key[2], key[1])):
                del waiting[key]
                say(f"{key[2]} is ready")
        if time.monotonic() > deadline:
            raise AskedFailed(
                expected=f"every component ready within {READY_SECONDS:g} s",
                came="; ".join(_words(kubectl, *key) for key in waiting),
                then="x1 cluster status; kubectl describe names the events of a pod",
            )
        if time.monotonic() > next_word:
            next_word += SAY_SECONDS
            for key in waiting:
                say(f"waiting: {_words(kubectl, *key)}")
        time.sleep(POLL_SECONDS if waiting else 0)


def components(kubectl: Kubectl, namespace: str) -> list[dict[str, Any]]:
    """Each workload with its name, kind, how many of its replicas are ready, and why not all."""
    return [
        {
            "name": each["metadata"]["name"],
            "kind": kind,
            "wanted": int(each["spec"].get("replicas", 1)),
            "ready": int(each.get("status", {}).get("readyReplicas", 0)),
            "image": each["spec"]["template"]["spec"]["containers"][0]["image"],
            "why_not": []
            if _is_ready(each)
            else _why_not(kubectl, namespace, each["metadata"]["name"]),
        }
        for kind in WORKLOADS
        for each in kubectl.listing(kind, "-n", namespace)
    ]


def _is_ready(found: Mapping[str, Any] | None) -> bool:
    if found is None:
        return False
    wanted, status = int(found["spec"].get("replicas", 1)), found.get("status", {})
    return (
        status.get("observedGeneration") == found["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == wanted
        and status.get("readyReplicas", 0) == wanted
        and status.get("replicas", wanted) == wanted
    )


def _words(kubectl: Kubectl, kind: str, namespace: str, name: str) -> str:
    reasons = _why_not(kubectl, namespace, name)
    return f"{kind} {name}: {', '.join(reasons) or 'its pods are not ready yet'}"


def _why_not(kubectl: Kubectl, namespace: str, name: str) -> list[str]:
    pods = kubectl.listing("pods", "-n", namespace, "-l", f"app.kubernetes.io/name={name}")
    return sorted({reason for pod in pods for reason in pod_reasons(pod)})


def pod_reasons(pod: Mapping[str, Any]) -> Iterator[str]:
    """Why a pod is not ready, in the words of Kubernetes."""
    status = pod.get("status", {})
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield str(condition.get("message") or condition.get("reason"))
    for each in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = each.get("state", {}).get("waiting", {})
        if waiting and waiting.get("reason") not in HARMLESS:
            told = str(waiting.get("message") or "")[:300]
            yield f"{each['name']} {waiting.get('reason')} {told}".strip()
