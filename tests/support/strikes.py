"""What dies on a cluster, and how it is made to: containers, pods, services, the node's own parts."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clusters import SESSIONS, SYSTEM, Cluster, kubectl, run, until

BED_HOME = Path(os.environ.get("X1_CLUSTER_HOME", Path.home() / ".cache" / "x1-cluster"))


def runtime(cluster: Cluster, session_id: str) -> None:
    """The CLI, by its neighbours in the agent's container."""
    code = (
        "import os, signal\n"
        "for p in {p for p in os.listdir('/proc') if p.isdigit()} - {str(os.getpid())}:\n"
        "    with open(f'/proc/{p}/cmdline') as file:\n"
        "        if 'sidecar.scripted' in file.read(): os.kill(int(p), signal.SIGKILL)"
    )
    cluster.inside(cluster.pod(session_id), "agent", ["python", "-c", code])


def container(name: str) -> Callable[[Cluster, str], None]:
    """SIGKILL for its first process, from the node: nobody inside a container can do that."""

    def strike(cluster: Cluster, session_id: str) -> None:
        pod = cluster.pods(session_id)[-1]["status"]
        statuses = [*pod["containerStatuses"], *pod["initContainerStatuses"]]
        found = next(each for each in statuses if each["name"] == name)
        _ctr("task", "kill", "-s", "SIGKILL", found["containerID"].removeprefix("containerd://"))

    return strike


def pod(cluster: Cluster, session_id: str) -> None:
    kubectl("delete", "pod", "-n", SESSIONS, cluster.pod(session_id), "--wait=false")


def evicted_with_a_deaf_sidecar(cluster: Cluster, session_id: str) -> None:
    """A stopped process ignores SIGTERM until it is killed."""
    name = cluster.pod(session_id)
    code = "import os, signal; os.kill(1, signal.SIGSTOP)"
    found = next(
        each
        for each in cluster.pods(session_id)[-1]["status"]["initContainerStatuses"]
        if each["name"] == "sidecar"
    )
    with contextlib.suppress(AssertionError):
        cluster.inside(name, "sidecar", ["python", "-c", code])
    _ctr("task", "kill", "-s", "SIGSTOP", found["containerID"].removeprefix("containerd://"))
    eviction = (
        '{"apiVersion": "policy/v1", "kind": "Eviction", '
        f'"metadata": {{"name": "{name}", "namespace": "{SESSIONS}"}}}}'
    )
    path = f"/api/v1/namespaces/{SESSIONS}/pods/{name}/eviction"
    kubectl("create", "--raw", path, "-f", "-", given=eviction)


def component(name: str) -> Callable[[Cluster, str], None]:
    """One pod of a service of the control plane, without a chance to say goodbye."""

    def strike(cluster: Cluster, session_id: str) -> None:
        selector = f"app.kubernetes.io/name={name}"
        found = kubectl("get", "pod", "-n", SYSTEM, "-l", selector, "-o", "name").split()
        words = ("--grace-period=0", "--force", "--wait=false")
        kubectl("delete", "-n", SYSTEM, found[0], *words)

    return strike


def database_for_a_minute(cluster: Cluster, session_id: str) -> None:
    kubectl("scale", "statefulset/postgres", "-n", SYSTEM, "--replicas=0")
    time.sleep(60)
    kubectl("scale", "statefulset/postgres", "-n", SYSTEM, "--replicas=1")


def containerd(cluster: Cluster, session_id: str) -> None:
    """Killed and started anew on the node; containers go on meanwhile."""
    os.kill(_pid("containerd"), signal.SIGKILL)
    run(_bed(), "up", seconds=300)


@contextmanager
def api_server_away() -> Iterator[None]:
    """It hangs, which is worse than a refused connection."""
    process = _pid("apiserver")
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)
        until(_api_answers, "the API server", 60)


def _api_answers() -> bool:
    done = subprocess.run(["kubectl", "get", "--raw", "/readyz"], capture_output=True, check=False)
    return done.returncode == 0


def _bed() -> str:
    bed = os.environ.get("X1_TEST_BED")
    if not bed:
        pytest.skip("strikes at the node itself: needs the test bed (X1_TEST_BED)")
    return bed


def _pid(name: str) -> int:
    _bed()
    return int((BED_HOME / "run" / f"{name}.pid").read_text())


def _ctr(*words: str) -> None:
    _bed()
    socket = BED_HOME / "run" / "containerd" / "containerd.sock"
    run(str(BED_HOME / "bin" / "ctr"), "-a", str(socket), "-n", "k8s.io", *words)
