"""From an agent's spawn_session to its child's first word, stage by stage; and from a message to its turn."""

import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench import runtime, waking
from tests.bench.figure import Figure, Limit
from tests.bench.stack import Stack, until


def measure(stack: Stack, rounds: int) -> list[Figure]:
    parent = stack.post("/api/sessions", {"agent": "bench-parent"})["session_id"]
    until(lambda: _idle(stack, parent), "the parent's first turn")
    wakes = [_wake(stack, parent) for _ in range(3 * rounds)]
    spawns = [_spawn(stack, parent) for _ in range(rounds + 1)][1:]
    stages = ["session.activated", "wake.read", "agent.text"]
    figures = [
        Figure(
            "message accepted → runtime has session/prompt, live session",
            [1000 * prompted for prompted, _ in wakes],
            "ms",
            limit=Limit("NATS there and one HTTP round trip", 1000 * waking.limit(stack)),
            target=20,
        ),
        Figure("  … until the agent's first word", [1000 * word for _, word in wakes], "ms"),
        Figure(
            "spawn_session → child's first event, warm",
            [each["agent.text"] for each in spawns],
            "s",
            limit=Limit("the runtime's fork, exec and initialize", runtime.start_seconds()),
            target=3,
        ),
    ]
    figures += [
        Figure(f"  … of it until {stage}", [each[stage] for each in spawns], "s")
        for stage in stages[:-1]
    ]
    return figures


def _idle(stack: Stack, session_id: str) -> bool:
    wakes = stack.get("/api/wakes", session_id=session_id)["wakes"]
    return bool(wakes) and all(each["receipt"] == "done" for each in wakes)


def _wake(stack: Stack, session_id: str) -> tuple[float, float]:
    """Seconds from the wake's row to the runtime's `session/prompt`, and to its first word about it."""
    seen = stack.events(session_id)[-1]["sequence"]
    prompted = waking.prompted_at(_transcript(stack, session_id))
    said = stack.post("/api/wakes", {"session_id": session_id, "text": "hello"})
    accepted = _time(said["created_at"])
    prompted_at = prompted.result()  # before the relay is asked again and again for what follows

    def answer() -> dict[str, Any]:
        """Not the last turn's, whose words may be stored after its end."""
        events = stack.events(session_id, seen)
        return _first(
            [each for each in events if _time(each["timestamp"]) > accepted], "agent.text"
        )

    word = until(answer, "the answer")
    until(lambda: _idle(stack, session_id), "the turn's end")
    return (
        prompted_at - accepted.timestamp(),
        (_time(word["timestamp"]) - accepted).total_seconds(),
    )


def _transcript(stack: Stack, session_id: str) -> Path:
    """To which the scripted runtime adds a prompt before anything else is done about it."""
    (found,) = (stack.state_dir / "sessions" / session_id / "state" / "scripted").glob("*.jsonl")
    return found


def _spawn(stack: Stack, parent: str) -> dict[str, float]:
    """Seconds from the tool call to the first event of each type in the child."""
    seen = stack.events(parent)[-1]["sequence"]
    stack.post("/api/wakes", {"session_id": parent, "text": "spawn"})

    def spawned() -> dict[str, Any] | None:
        return _first(stack.events(parent, seen), "child.spawned")

    child = until(spawned, "the spawn")["payload"]["child_session_id"]
    until(lambda: _first(stack.events(child), "session.completed"), "the child's end")
    called = _time(_first(stack.events(parent, seen), "agent.tool_call")["timestamp"])
    until(lambda: _idle(stack, parent), "the parent's turn")
    time.sleep(0.5)
    first: dict[str, float] = {}
    for event in stack.events(child):
        first.setdefault(event["type"], (_time(event["timestamp"]) - called).total_seconds())
    return first


def _first(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next((each for each in events if each["type"] == kind), {})


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
