"""What dies on a cluster, and how it is made to: containers, pods, services, the node's own parts."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from clusters import SESSIONS, SYSTEM, Cluster, kubectl, run, until
from pids import is_gone

BED_HOME = Path(os.environ.get("X1_CLUSTER_HOME", Path.home() / ".cache" / "x1-cluster"))


def runtime(cluster: Cluster, session_id: str) -> None:
    """The CLI, by its neighbours in the agent's container. What its turn runs there comes and goes meanwhile."""
    code = (
        "import contextlib, os, signal\n"
        "for p in {p for p in os.listdir('/proc') if p.isdigit()} - {str(os.getpid())}:\n"
        "    with contextlib.suppress(FileNotFoundError, ProcessLookupError):\n"
        "        with open(f'/proc/{p}/cmdline') as file:\n"
        "            if 'sidecar.scripted' in file.read(): os.kill(int(p), signal.SIGKILL)"
    )
    cluster.inside(cluster.pod(session_id), "agent", ["python", "-c", code])


def container(name: str) -> Callable[[Cluster, str], None]:
    """SIGKILL for its first process, from the node: nobody inside a container can do that."""

    def strike(cluster: Cluster, session_id: str) -> None:
        def is_struck() -> bool:
            return any(_is_sent("SIGKILL", each, name) for each in cluster.pods(session_id)[-1:])

        until(is_struck, f"a container {name} to kill")

    return strike


def _is_sent(told: str, pod: dict[str, Any], container: str) -> bool:
    """False while it does not run: what a pod's status says of a container may be over, or not yet."""
    status = pod["status"]
    known = [*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())]
    for each in known:
        if each["name"] == container and "running" in each["state"]:
            with contextlib.suppress(AssertionError):
                number = each["containerID"].removeprefix("containerd://")
                _ctr("task", "kill", "-s", told, number)
                return True
    return False


def pod(cluster: Cluster, session_id: str) -> None:
    kubectl("delete", "pod", "-n", SESSIONS, cluster.pod(session_id), "--wait=false")


def evicted_with_a_deaf_sidecar(cluster: Cluster, session_id: str) -> None:
    """A stopped process ignores SIGTERM until it is killed."""

    def is_deaf() -> str:
        """The name of its pod."""
        pods = cluster.pods(session_id)[-1:]
        return next(
            (each["metadata"]["name"] for each in pods if _is_sent("SIGSTOP", each, "sidecar")), ""
        )

    name = until(is_deaf, "a sidecar to stop")
    eviction = (
        '{"apiVersion": "policy/v1", "kind": "Eviction", '
        f'"metadata": {{"name": "{name}", "namespace": "{SESSIONS}"}}}}'
    )
    path = f"/api/v1/namespaces/{SESSIONS}/pods/{name}/eviction"
    kubectl("create", "--raw", path, "-f", "-", given=eviction)


def component(name: str) -> Callable[[Cluster, str], None]:
    """One pod of a service of the control plane, without a chance to say goodbye."""

    def strike(cluster: Cluster, session_id: str) -> None:
        which = ("-l", f"app.kubernetes.io/name={name}", "--field-selector=status.phase=Running")
        words = ("get", "pod", "-n", SYSTEM, *which, "-o", "name")
        found = until(lambda: kubectl(*words).split(), f"a pod of {name} that runs")
        kubectl("delete", "-n", SYSTEM, found[0], "--grace-period=0", "--force", "--wait=false")

    return strike


def database_for_a_minute(cluster: Cluster, session_id: str) -> None:
    kubectl("scale", "statefulset/postgres", "-n", SYSTEM, "--replicas=0")
    try:
        time.sleep(60)
    finally:
        kubectl("scale", "statefulset/postgres", "-n", SYSTEM, "--replicas=1")


def containerd(cluster: Cluster, session_id: str) -> None:
    """Killed and started anew on the node; containers go on meanwhile."""
    process = _pid("containerd")
    os.kill(process, signal.SIGKILL)
    until(lambda: is_gone(process), "containerd's end")
    run(_bed(), "up", seconds=600)


@contextmanager
def api_server_away() -> Iterator[None]:
    """It hangs, which is worse than a refused connection."""
    process = _pid("apiserver")
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)
        until(_api_answers, "the API server")


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
