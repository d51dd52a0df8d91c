"""kill -9 of every part while the arc runs: it ends well, nothing is lost, nothing happens twice."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from arc import Arc, Moment, Strike

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]
BOSS, CHILD = "hirer-orchestrator", "hirer-app"


def calls(tool: str) -> Callable[[dict[str, Any]], bool]:
    return lambda payload: tool in str(payload.get("title", ""))


def judge(arc: Arc) -> None:
    assert [strike.victim for strike in arc.strikes if strike.pid is None] == [], "not struck"
    assert arc.gaps() == []
    happened = Counter(event["type"] for events in arc.events.values() for event in events)
    assert happened["child.spawned"] == 2
    assert happened["merge.done"] == 2
    texts = [
        event["payload"].get("summary") or event["payload"].get("text")
        for events in arc.events.values()
        for event in events
        if event["type"] == "agent.message_to_caller"
    ]
    assert len(texts) == len(set(texts)), "a message was sent twice"
    assert {session["status"] for session in arc.sessions.values()} == {"complete"}


def test_the_arc_survives_the_death_of_every_part_of_a_session(arc):
    played = arc(
        Strike("runtime", Moment(BOSS, "agent.tool_call")),
        Strike("sidecar", Moment(BOSS, "child.spawned")),
        Strike("flow", Moment(CHILD, "agent.tool_call")),
        Strike("worker", Moment(BOSS, "preview.building")),
        Strike("forkserver", Moment(CHILD, "session.completed")),
    )
    assert played.play() == 0, played.output[-4000:]
    judge(played)


def test_the_arc_survives_the_death_of_every_service(arc):
    played = arc(
        Strike("nats", Moment(BOSS, "wake.read")),
        Strike("relay", Moment(BOSS, "child.spawned")),
        Strike("postgres", Moment(CHILD, "agent.tool_result")),
        Strike("prefect", Moment(BOSS, "preview.requested")),
        Strike("previewhost", Moment(BOSS, "preview.ready")),
        Strike("proxy", Moment(BOSS, "merge.done")),
        Strike("forge", Moment(BOSS, "preview.released")),
    )
    assert played.play() == 0, played.output[-4000:]
    judge(played)


def test_a_machine_that_sleeps_longer_than_a_lease_goes_on_where_it_was(arc):
    """Nobody answered meanwhile, so nobody was replaced: every session is still in its first generation."""
    played = arc(Strike("everything", Moment(CHILD, "agent.tool_call")))
    assert played.play() == 0, played.output[-4000:]
    judge(played)
    activated = Counter(
        event["generation"]
        for events in played.events.values()
        for event in events
        if event["type"] == "session.activated"
    )
    parked = sum(
        event["type"] == "session.parked" for events in played.events.values() for event in events
    )
    assert sum(activated.values()) == len(played.sessions) + parked
