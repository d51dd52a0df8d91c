"""Workloads to test on: doubles, moved by hand, and real Jobs in namespaces of their own.

The real ones are looked at with the very rights that the relay's manifest gives it.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import yaml
from clusters import kubectl, until

from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.ids import FlowRunId
from sidecar.domain.pod_diagnosis import Cause, Diagnosis
from sidecar.relay.kubernetes.memory import MemoryWorkloads
from sidecar.relay.kubernetes.namespaces import WorkloadsOfNamespaces
from sidecar.relay.kubernetes.workloads import RUN_LABEL, KubernetesWorkloads
from sidecar.relay.workloads import WorkloadPhase, Workloads

IMAGE = "busybox"
MANIFESTS = Path(__file__).parents[2] / "infra" / "k8s" / "base"
SMALL = {"cpu": "10m", "memory": "32Mi"}
SLEEP = ("sh", "-c", "trap exit TERM; sleep 600 & wait")


class MemoryGround:
    def __init__(self) -> None:
        self._here = MemoryWorkloads()
        self.workloads: Workloads = self._here

    async def aclose(self) -> None:
        pass

    def away(self) -> None:
        self._here.is_away = True

    def running(self) -> FlowRunId:
        return self._in(WorkloadPhase.RUNNING)

    def over(self) -> FlowRunId:
        return self._in(WorkloadPhase.OVER)

    def failed(self) -> FlowRunId:
        return self._in(WorkloadPhase.OVER, Cause.OTHER)

    def unschedulable(self) -> FlowRunId:
        return self._in(WorkloadPhase.STARTING, Cause.CAPACITY)

    def refused_by_quota(self) -> FlowRunId:
        return self._in(WorkloadPhase.STARTING, Cause.QUOTA)

    def removed(self) -> FlowRunId:
        run = self.running()
        self._here.workloads.pop(run)
        return run

    def _in(self, phase: WorkloadPhase, cause: Cause | None = None) -> FlowRunId:
        run = FlowRunId(str(uuid4()))
        why = Diagnosis(text="so it is", is_temporary=True, cause=cause) if cause else None
        self._here.move(run, phase, why)
        return run


class SecondOfTwoGround(MemoryGround):
    """Two namespaces as one; everything happens in the second."""

    def __init__(self) -> None:
        super().__init__()
        self.workloads = WorkloadsOfNamespaces(MemoryWorkloads(), self._here)


class ClusterGround:
    """A Job per flow run. `namespace` has a quota of 1 GiB of requested memory."""

    def __init__(self, namespace: str, directory: Path, server: str) -> None:
        self.namespace, self._directory, self._server = namespace, directory, server
        self._apis: list[KubernetesApi] = []
        self.workloads = self._at(server)

    def again(self) -> "ClusterGround":
        """With connections of its own: they belong to one event loop."""
        return ClusterGround(self.namespace, self._directory, self._server)

    async def aclose(self) -> None:
        for each in self._apis:
            await each.aclose()

    def away(self) -> None:
        self.workloads = self._at("https://127.0.0.1:1")

    def running(self) -> FlowRunId:
        return self._seen(self.job(), "{.items[*].status.phase}", "Running")

    def over(self) -> FlowRunId:
        return self._seen(self.job(command=("true",)), "{.items[*].status.phase}", "Succeeded")

    def failed(self) -> FlowRunId:
        run = self.job(command=("sh", "-c", "exit 3"))
        return self._seen(run, "{.items[*].status.phase}", "Failed")

    def unschedulable(self) -> FlowRunId:
        run = self.job(node_selector={"x1flows.io/no-such": "node"})
        return self._seen(
            run, '{.items[*].status.conditions[?(@.type=="PodScheduled")].reason}', "Unschedulable"
        )

    def refused_by_quota(self) -> FlowRunId:
        run = self.job(memory="6Gi")
        name = self.kubectl(
            "get", "job", "-l", f"{RUN_LABEL}={run}", "-o", "jsonpath={.items[0].metadata.name}"
        )
        about = f"involvedObject.name={name},reason=FailedCreate"
        until(lambda: self.kubectl("get", "events", "--field-selector", about, "-o", "name"), "it")
        return run

    def removed(self) -> FlowRunId:
        run = self.running()
        self.kubectl("delete", "job", "-l", f"{RUN_LABEL}={run}", "--wait", "--cascade=foreground")
        return run

    def job(
        self,
        *,
        image: str = IMAGE,
        command: tuple[str, ...] = SLEEP,
        memory: str = "32Mi",
        node_selector: dict[str, str] | None = None,
        env_from: str | None = None,
        scratch: str | None = None,
        component: str = "session",
        has_sidecar: bool = False,
    ) -> FlowRunId:
        """As a work pool's template makes one, by label. `env_from` names a Secret; `scratch` sizes a volume."""
        run = FlowRunId(str(uuid4()))
        labels = {RUN_LABEL: run, "app.kubernetes.io/component": component}
        container = {
            "name": "prefect-job",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": list(command),
            "resources": {"requests": SMALL | {"memory": memory}, "limits": {"memory": memory}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
            "envFrom": [{"secretRef": {"name": env_from}}] if env_from else [],
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
        }
        pod = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "nodeSelector": node_selector or {},
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": [_sidecar(container)] if has_sidecar else [],
            "containers": [container],
            "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": scratch} if scratch else {}}],
        }
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"generateName": "session-", "labels": labels},
            "spec": {
                "backoffLimit": 0,
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }
        self.kubectl("create", "-f", "-", given=json.dumps(job))
        return run

    def kubectl(self, *words: str, given: str | None = None) -> str:
        return kubectl("-n", self.namespace, *words, given=given)

    def pods(self, run: FlowRunId) -> str:
        return self.kubectl("get", "pods", "-l", f"{RUN_LABEL}={run}", "-o", "name")

    def _at(self, server: str) -> KubernetesWorkloads:
        self._apis.append(KubernetesApi(server, self._directory))
        return KubernetesWorkloads(self._apis[-1], self.namespace)

    def _seen(self, run: FlowRunId, path: str, value: str) -> FlowRunId:
        selector = f"{RUN_LABEL}={run}"

        def look() -> bool:
            found = self.kubectl("get", "pods", "-l", selector, "-o", f"jsonpath={path}")
            return found == value

        until(look, f"{value} of flow run {run}")
        return run


def _sidecar(container: dict) -> dict:
    own = {"name": "sidecar", "restartPolicy": "Always", "command": list(SLEEP), "envFrom": []}
    return container | own


@contextmanager
def cluster_ground(directory: Path) -> Iterator[ClusterGround]:
    """Its own namespace on the cluster that kubectl points at, with the relay's rights in it; removed at the end."""
    namespace = f"try-relay-{uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    meta = {"name": namespace, "labels": labels}
    _apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    try:
        for each in (*_rights(namespace), _quota(namespace)):
            _apply(each)
        token = kubectl("create", "token", "relay", "-n", namespace, "--duration=1h")
        (directory / "token").write_text(token)
        (directory / "ca.crt").write_bytes(_authority())
        yield ClusterGround(namespace, directory, _cluster()["server"])
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")


def _rights(namespace: str) -> list[dict]:
    """What relay.yaml gives the relay in the sessions' namespace, given here."""
    documents = list(yaml.safe_load_all((MANIFESTS / "relay.yaml").read_text()))
    found = [
        each
        for each in documents
        if each["kind"] in {"Role", "RoleBinding"}
        and each["metadata"]["namespace"] == "x1-sessions"
    ]
    assert len(found) == 2
    for each in found:
        each["metadata"]["namespace"] = namespace
        for subject in each.get("subjects", ()):
            subject["namespace"] = namespace
    account = {"name": "relay", "namespace": namespace}
    return [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, *found]


def _quota(namespace: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "sessions", "namespace": namespace},
        "spec": {"hard": {"requests.memory": "1Gi"}},
    }


def _apply(what: dict) -> None:
    kubectl("apply", "-f", "-", given=json.dumps(what))


def _cluster() -> dict:
    return json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))["clusters"][0][
        "cluster"
    ]


def _authority() -> bytes:
    cluster = _cluster()
    if "certificate-authority-data" in cluster:
        return base64.b64decode(cluster["certificate-authority-data"])
    return Path(cluster["certificate-authority"]).read_bytes()
