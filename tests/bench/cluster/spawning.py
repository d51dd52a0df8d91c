"""A hire, stage by stage, and what the cluster itself takes for a bare Job."""

import json
import time
from datetime import datetime
from typing import Any

import httpx

from tests.bench.cluster.pods import Pods
from tests.bench.figure import Figure, Limit
from tests.support.clusters import SESSIONS, Cluster, kubectl, listed, until

TARGET_SECONDS = 5.0
GONE_SECONDS = 5.0
STEPS = ("claim", "checkout", "boot")
STAGES = (
    *("run created", "worker has it", "pod created", "pod scheduled", "pod running"),
    *("flow begins", *(f"{each} is done" for each in STEPS)),
)
RUN_LABEL = "prefect.io/flow-run-id"
RESTRICTED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def measure(cluster: Cluster, parent: str, pods: Pods, rounds: int) -> list[Figure]:
    spawns = [_spawn(cluster, parent, pods) for _ in range(rounds)]
    bare = Figure("", [_bare_job(pods) for _ in range(rounds)], "s")
    words = [each["first word"] for each in spawns]
    return [
        Figure(
            "spawn_session → child's first word, ACP initialize within",
            words,
            "s",
            limit=Limit("bare Job of two containers, created → running", bare.median),
            target=TARGET_SECONDS,
        ),
        *(Figure(f"  until {stage}", [each[stage] for each in spawns], "s") for stage in STAGES),
        Figure(
            "a completed run's main container ends → its pod is gone",
            [each["gone"] for each in spawns],
            "s",
            target=GONE_SECONDS,
        ),
    ]


def _spawn(cluster: Cluster, parent: str, pods: Pods) -> dict[str, float]:
    """Seconds from the tool call to each stage of the child's start; `gone`: from its end to its pod's."""
    seen = cluster.events(parent)[-1]["sequence"]
    cluster.say(parent, "spawn")

    def spawned() -> str | None:
        found = [e for e in cluster.events(parent, seen) if e["type"] == "child.spawned"]
        return found[0]["payload"]["child_session_id"] if found else None

    child = until(spawned, "the spawn")
    until(lambda: cluster.events(child, kind="session.completed"), "the child's end")
    called = next(e for e in cluster.events(parent, seen) if e["type"] == "agent.tool_call")
    word = cluster.events(child, kind="agent.text")[0]
    run_id = cluster.session(child)["flow_run_id"]
    moments = pods.await_moment(RUN_LABEL, run_id, "gone")
    reached = {
        "first word": _time(word["timestamp"]),
        **_told_by_prefect(cluster, run_id),
        **{f"pod {each}": moments[each] for each in ("created", "scheduled", "running")},
    }
    begun = _time(called["timestamp"])
    return {
        **{stage: at - begun for stage, at in reached.items()},
        "gone": moments["gone"] - moments["ended"],
    }


def _told_by_prefect(cluster: Cluster, run_id: str) -> dict[str, float]:
    secret = (cluster.state_dir / "secrets" / "prefect-auth").read_text().strip()
    user, _, password = secret.partition(":")
    with httpx.Client(
        base_url=f"{cluster.urls['prefect']}/api", auth=(user, password), trust_env=False
    ) as http:
        run = http.get(f"/flow_runs/{run_id}").raise_for_status().json()
        asked = {"flow_run_id": run_id}
        states = http.get("/flow_run_states/", params=asked).raise_for_status().json()
        of_run = {"flow_runs": {"id": {"any_": [run_id]}}}
        tasks = http.post("/task_runs/filter", json=of_run).raise_for_status().json()
    entered = {each["type"]: _time(each["timestamp"]) for each in reversed(states)}
    ended = {each["name"].partition("-")[0]: each["end_time"] for each in tasks}
    return {
        "run created": _time(run["created"]),
        "worker has it": entered["PENDING"],
        "flow begins": entered["RUNNING"],
        **{f"{each} is done": _time(ended[each]) for each in STEPS},
    }


def _bare_job(pods: Pods) -> float:
    """Of the images that a session has, so that nothing is pulled."""
    image = listed("pods", "-n", SESSIONS)[-1]["spec"]["containers"][0]["image"]
    containers = [
        {"name": each, "image": image, "command": ["sleep", "5"], "securityContext": RESTRICTED}
        for each in ("one", "two")
    ]
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": containers,
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": "bench-bare-", "namespace": SESSIONS},
        "spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": 60, "template": {"spec": pod}},
    }
    began = time.time()
    name = kubectl("create", "-f", "-", "-o", "jsonpath={.metadata.name}", given=json.dumps(job))
    running = pods.await_moment("job-name", name, "running")["running"]
    kubectl("delete", "job", "-n", SESSIONS, name, "--wait=false")
    return running - began


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
