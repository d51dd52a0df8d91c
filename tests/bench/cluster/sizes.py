"""Memory of the containers of a live session and of the relays: all their processes, as the kernel counts them.

From `status`, which anybody may read: a sidecar's maps nobody may.
"""

from tests.bench.figure import Figure
from tests.support.clusters import SESSIONS, SYSTEM, Cluster, kubectl, listed

COUNT = """
import os
total = 0
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) != os.getpid():
        try:
            with open(f"/proc/{pid}/status") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
        except FileNotFoundError:
            pass
assert total, "no process was seen"
print(total)
"""
OF_A_SESSION = {"sidecar": 120.0, "prefect-job": 150.0}
RELAY_MB = 150.0


def measure(cluster: Cluster, session_id: str) -> list[Figure]:
    pod = cluster.pod(session_id)
    relays = listed("pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=relay")
    names = [each["metadata"]["name"] for each in relays]
    return [
        *(
            Figure(f"{each} of a live session, RSS", [_rss(SESSIONS, pod, each)], "MB", target=most)
            for each, most in OF_A_SESSION.items()
        ),
        Figure(
            "relay, RSS", [_rss(SYSTEM, each, "relay") for each in names], "MB", target=RELAY_MB
        ),
    ]


def _rss(namespace: str, pod: str, container: str) -> float:
    words = ("exec", "-n", namespace, pod, "-c", container, "--", "python", "-c", COUNT)
    return int(kubectl(*words)) / 1000
