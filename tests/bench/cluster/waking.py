"""From a message to a live session to the agent's first word."""

from datetime import datetime
from typing import Any

from tests.bench.figure import Figure
from tests.support.clusters import Cluster, until


def measure(cluster: Cluster, session_id: str, rounds: int) -> list[Figure]:
    took = [1000 * _wake(cluster, session_id) for _ in range(3 * rounds)]
    return [Figure("message accepted → agent's first word, live session", took, "ms")]


def _wake(cluster: Cluster, session_id: str) -> float:
    seen = cluster.events(session_id)[-1]["sequence"]
    said = cluster.post("/api/wakes", {"session_id": session_id, "text": "hello"})

    def word() -> dict[str, Any] | None:
        found = [e for e in cluster.events(session_id, seen) if e["type"] == "agent.text"]
        return found[0] if found else None

    heard = datetime.fromisoformat(until(word, "the answer")["timestamp"])
    return (heard - datetime.fromisoformat(said["created_at"])).total_seconds()
