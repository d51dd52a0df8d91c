"""kill -9 of each process while six sessions stand between two steps each: all end well, and nothing is done twice."""

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from gates import until
from moments import Stage, strike
from pids import is_gone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
VICTIMS = ("runtime", "sidecar", "flow", "worker", "relay", "nats", "postgres", "prefect")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    made = Stage(state_dir=Path(tempfile.mkdtemp(prefix="x1-mom-")) / "s")
    try:
        made.set(VICTIMS)
        yield made
    finally:
        made.x1("down")
    assert made.left_over() == []
    shutil.rmtree(made.state_dir.parent, ignore_errors=True)


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_death_between_any_two_steps_costs_nothing_and_doubles_nothing(stage, victim):
    with stage.at_their_moments(victim) as pids:
        assert pids, f"no {victim} to kill"
        strike(pids)

    stage.await_done("waiter", f"/{victim}")
    stage.await_done("listener", f"hear {victim}")
    assert stage.await_done("ender", f"end {victim}")["attempt"] == 1, "prompted again"
    stage.await_done("parker", f"rest {victim}")
    stage.await_done("merger", f"merge {victim}")
    until(lambda: stage.session("parker")["status"] == "parked", "parking")

    slow = stage.revisions[f"slow/{victim}"]
    until(lambda: stage.preview(f"slow/{victim}")["serving"] == slow, "the preview")
    stage.await_done("shower", f"slow/{victim} is ready")
    stage.await_answer("shower", f"read: {slow} $ git fetch acme/app {slow} preview.ready")

    answers = {
        "waiter": f"done: wait for {stage.state_dir.parent}/{victim}\n",
        "listener": f"done: hear {victim}\n",
        "ender": f"done: end {victim}\n",
        "parker": f"done: rest {victim}\n",
        "merger": f"done: merge {victim} {stage.revisions[f'fast/{victim}']}\n",
    }
    for name, answer in answers.items():
        stage.await_answer(name, answer)
    merged = [e for e in stage.events[stage.ids["merger"]] if e["type"] == "merge.done"]
    (done,) = [e["payload"] for e in merged if e["payload"]["base"] == f"base/{victim}"]
    head, *older = stage.commits(f"base/{victim}")
    assert done["merge_sha"] == head["sha"]
    assert len(older) == 2, "merged twice"


def test_two_starts_at_once_are_one_session(stage):
    runs = [stage.run("twin", agent="twin", text=text) for text in ("one", "two")]
    until(lambda: "Forwarded" in map(stage.state_of, runs), "one of them to be forwarded")
    (twin,) = stage.find("twin")
    stage.ids["twin"] = twin
    for text in ("one", "two"):
        stage.await_done("twin", text)
    assert sorted(map(stage.state_of, runs)) == ["Forwarded", "Running"]


def test_the_second_of_two_activations_at_once_ends_quietly(stage):
    before = stage.session("parker")["generation"]
    with stage.gates.closed(("sessions", stage.ids["parker"])):
        runs = [stage.run("parker", session_id=stage.ids["parker"]) for _ in range(2)]
        until(lambda: "Superseded" in map(stage.state_of, runs), "one of them to be superseded")
    until(lambda: sorted(map(stage.state_of, runs)) == ["Parked", "Superseded"], "their ends")
    assert stage.session("parker")["generation"] == before + 1


def test_two_relays_share_the_work_and_one_of_them_may_die(stage):
    with stage.second_relay() as other, ThreadPoolExecutor() as at_once:
        asked = {"agent": "pair", "text": "begin"}
        with stage.client(None, 60) as http, stage.client(other, 60) as second:
            posts = [
                at_once.submit(each.post, "/api/sessions", json=asked) for each in (http, second)
            ]
            started = [each.result().json() for each in posts]
        assert sorted(each["outcome"] for each in started) == ["started", "woken"]
        (stage.ids["pair"],) = {each["session_id"] for each in started}
        strike([until(lambda: stage.pid_of("relay", ""), "the relay's pid")])
        with stage.client(other, 60) as second:
            told = {"session_id": stage.ids["pair"], "text": "told by the other"}
            second.post("/api/wakes", json=told).raise_for_status()
        stage.await_done("pair", "told by the other")
        stage.await_answer("pair", "done: told by the other\n")


def test_a_replaced_activation_that_goes_on_ends_and_what_its_agent_said_is_kept(stage):
    """Its sidecar is stopped in a turn, replaced, and goes on: it finds its turn's last words waiting.

    They are what happened, whoever holds the lease by now; the next activation may hear them once more.
    """
    gate = stage.state_dir.parent / "stale"
    stage.say("waiter", f"wait for {gate}")
    until(gate.with_name("stale.begun").exists, "the turn")
    before = stage.session("waiter")["generation"]
    stale = psutil.Process(until(lambda: stage.pid_of("sidecar", "waiter"), "its sidecar"))
    stale.suspend()
    try:
        until(lambda: stage.session("waiter")["generation"] > before, "another activation")
        gate.touch()
        until(gate.with_name("stale.over").exists, "the end of its turn")
    finally:
        gate.touch()
        stale.resume()
    stage.await_done("waiter", str(gate))
    until(lambda: is_gone(stale.pid), "the end of the replaced one")
    answer = f"done: wait for {gate}\n"
    until(lambda: answer in stage.words("waiter"), "its answer")
    told = [stage.words("waiter", generation).count(answer) for generation in (before, before + 1)]
    assert max(told) == 1, f"one of them did it twice: {told}"


def test_no_event_of_all_this_is_missing_or_doubled(stage):
    stage.settle()
    assert stage.gaps() == []
