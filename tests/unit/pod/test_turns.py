"""Turns of a real runtime process, from a wake to its receipt."""

import sys

import pytest
from bridges import bridge_at
from pids import is_gone

from sidecar.pod.acp.errors import RuntimeExited

pytestmark = pytest.mark.real
both = pytest.mark.parametrize("stage", ["local", "bridged"], indirect=True)
"""Beside the agent's zone, and with a bridge between."""
bridged = pytest.mark.parametrize("stage", ["bridged"], indirect=True)


@both
async def test_a_wake_becomes_a_turn_whose_words_are_events(stage, eventually):
    async with stage.activation() as activation:
        await activation.boot()
        wake = stage.relay.wake("do: say hello")
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        step = await activation.story.step(after=0, wait_seconds=10)
        report = await activation.story.turn(step.turn, wait_seconds=10)
        await activation.leave("test over")
    assert (step.kind, step.title) == ("turn", "user: do: say hello")
    assert (report.state, report.stop_reason) == ("ended", "end_turn")
    assert report.usage[0]["input_tokens"] == 10
    assert stage.bus.texts() == "hello"
    assert [e.source_sequence for e in stage.bus.events] == list(
        range(1, len(stage.bus.events) + 1)
    )
    assert [r for _, r in stage.relay.reports] == ["delivered", "read", "done"]


@both
async def test_the_environment_of_the_agent_holds_no_secret(stage, eventually, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "canary-of-the-operator")
    async with stage.activation() as activation:
        await activation.boot()
        stage.relay.wake("do: env")
        await eventually(lambda: "X1_SIDECAR_URL" in stage.bus.texts())
        await activation.leave("test over")
    shown = stage.bus.texts()
    assert "canary-of-the-operator" not in shown
    assert "first-token" not in shown


@both
async def test_a_runtime_killed_in_a_turn_is_told_that_it_was_interrupted(stage, eventually):
    async with stage.activation() as activation:
        await activation.boot()
        wake = stage.relay.wake("do: die-once\ndo: say back")
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        await activation.leave("test over")
    assert [r for _, r in stage.relay.reports].count("interrupted") == 1
    kept = (stage.state / "home" / "fake-agent.jsonl").read_text()
    assert "was interrupted before it ended" in kept
    assert stage.bus.texts() == "back"


@both
async def test_a_wake_prompted_by_a_killed_activation_is_prompted_again_as_interrupted(
    stage, eventually
):
    async with stage.activation() as first:
        await first.boot()
        wake = stage.relay.wake("do: say begun\ndo: hang")
        await eventually(lambda: "begun" in stage.bus.texts())
    (stage.state / "home" / "fake-agent.jsonl").write_text("")
    stage.relay.wakes[wake]["text"] = "do: say finished"
    async with stage.activation() as second:
        answer = await second.boot()
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        await second.leave("test over")
    assert answer.resumed
    assert (
        "was interrupted before it ended" in (stage.state / "home" / "fake-agent.jsonl").read_text()
    )
    assert stage.relay.wakes[wake]["attempt"] == 2


@both
async def test_a_recorded_turn_end_is_never_prompted_again(stage, eventually):
    async with stage.activation() as first:
        await first.boot()
        wake = stage.relay.wake("do: say once")
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        await first.leave("test over")
    stage.relay.wakes[wake]["receipt"] = "read"
    async with stage.activation() as second:
        await second.boot()
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        await second.leave("test over")
    assert stage.bus.texts() == "once"


@both
async def test_a_turn_is_not_on_record_as_ended_before_its_words_are_safe(stage, eventually):
    async with stage.activation() as first:
        await first.boot()
        stage.bus.is_away = True
        wake = stage.relay.wake("do: say heard")
        await eventually(lambda: stage.bus.refused.count("agent.text") > 3)
    assert stage.relay.wakes[wake]["receipt"] == "read"
    stage.bus.is_away = False
    async with stage.activation() as second:
        await second.boot()
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        await second.leave("test over")
    assert stage.bus.texts() == "heard"


@both
async def test_an_idle_session_parks_and_its_runtime_is_gone(stage, eventually):
    stage.idle_minutes = 0.002
    async with stage.activation() as activation:
        await activation.boot()
        step = await activation.story.step(after=0, wait_seconds=10)
        answer = await activation.park()
    assert (step.kind, answer.parked, stage.relay.parked) == ("park", True, True)
    assert not (stage.state / "runtime.json").exists()


async def test_a_wake_that_comes_while_parking_is_answered_with_a_turn(stage, eventually):
    stage.idle_minutes = 0.002
    async with stage.activation() as activation:
        await activation.boot()
        await activation.story.step(after=0, wait_seconds=10)
        wake = stage.relay.wake("do: say still here")
        answer = await activation.park()
        assert not answer.parked
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        await activation.leave("test over")


async def test_end_session_ends_the_session_after_the_turn(stage, eventually):
    async with stage.activation() as activation:
        await activation.boot()
        stage.relay.wake('do: tool end_session {"summary": "all done"}')
        await activation.story.step(after=0, wait_seconds=10)
        step = await activation.story.step(after=1, wait_seconds=10)
        answer = await activation.end()
    assert (step.kind, answer.summary) == ("end", "all done")
    assert "done" not in [r for _, r in stage.relay.reports]


async def test_an_end_that_a_crash_cut_short_is_finished_by_the_next_activation(stage, eventually):
    async with stage.activation() as first:
        await first.boot()
        stage.relay.wake('do: tool end_session {"summary": "all done"}')
        await first.story.step(after=1, wait_seconds=10)
    async with stage.activation() as second:
        await second.boot()
        step = await second.story.step(after=0, wait_seconds=10)
        answer = await second.end()
    assert (step.kind, answer.summary) == ("end", "all done")


@both
async def test_a_lost_lease_kills_the_runtime_and_is_told(stage, eventually):
    async with stage.activation() as activation:
        await activation.boot()
        stage.relay.refuse["/receipts"] = (409, "lease_lost")
        stage.relay.wake("do: hang")
        # The first receipt may be refused before or after the turn is told.
        await eventually(lambda: activation.story.is_over)
        await eventually(lambda: not (stage.state / "runtime.json").exists())
        steps = [await activation.story.step(after=n, wait_seconds=0.1) for n in range(2)]
    assert [step.kind for step in steps if step][-1] == "lost"


@both
async def test_a_cancel_rung_at_the_door_ends_a_running_turn(stage, eventually):
    async with stage.activation() as activation:
        await activation.boot()
        stage.relay.wake("do: hang")
        await activation.story.step(after=0, wait_seconds=10)
        stage.relay.cancel_reason = "enough"
        stage.relay.bells.put_nowait("cancel")
        step = await activation.story.step(after=1, wait_seconds=10)
        report = await activation.story.turn(1, wait_seconds=10)
        await activation.leave("cancelled")
    assert (step.kind, step.reason) == ("cancelled", "enough")
    assert (report.state, report.stop_reason) == ("ended", "cancelled")
    assert "interrupted" not in [r for _, r in stage.relay.reports]
    assert stage.relay.let_go


@both
async def test_a_runtime_that_never_starts_fails_the_boot_with_its_own_words(stage, eventually):
    stage.argv = [sys.executable, "-c", "import sys; sys.exit('no licence')"]
    async with stage.activation() as activation:
        with pytest.raises(RuntimeExited, match="no licence"):
            await activation.boot()
        await activation.leave("test over")
    assert stage.bus.of("agent.error")


@both
async def test_garbage_between_messages_is_told_once_and_does_no_harm(stage, eventually):
    async with stage.activation() as activation:
        await activation.boot()
        wake = stage.relay.wake("do: garbage\ndo: garbage\ndo: say fine")
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        await activation.leave("test over")
    assert [e["what"] for e in stage.bus.of("agent.error")] == ["garbage"]
    assert stage.bus.texts() == "fine"


@both
async def test_a_runtime_that_falls_silent_is_given_up(stage, eventually, monkeypatch):
    monkeypatch.setattr("sidecar.pod.runtime.CANCEL_SECONDS", 0.05)
    stage.silence_seconds = 0.3
    async with stage.activation() as activation:
        await activation.boot()
        stage.relay.wake("do: hang")
        await eventually(lambda: "interrupted" in [r for _, r in stage.relay.reports])
        await activation.leave("test over")
    assert "runtime_silent" in [e["what"] for e in stage.bus.of("agent.error")]


@both
async def test_what_a_runtime_left_running_ends_with_it(stage, eventually):
    async with stage.activation() as activation:
        await activation.boot()
        wake = stage.relay.wake("do: orphan")
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        orphan = stage.state / "home" / "orphan.pid"
        await eventually(lambda: orphan.exists() and orphan.read_text())
        await activation.leave("test over")
    await eventually(lambda: is_gone(int(orphan.read_text())))


async def test_a_bus_that_is_away_loses_no_event(stage, eventually):
    stage.bus.is_away = True
    async with stage.activation() as activation:
        await activation.boot()
        wake = stage.relay.wake("do: say kept")
        await eventually(lambda: stage.bus.refused.count("agent.text") > 3)
        stage.bus.is_away = False
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        assert stage.bus.texts() == "kept"
        await activation.leave("test over")


async def test_a_relay_that_is_away_delays_receipts_and_loses_none(stage, eventually):
    async with stage.activation() as activation:
        await activation.boot()
        wake = stage.relay.wake("do: say working")
        await eventually(lambda: "working" in stage.bus.texts())
        stage.relay.is_away = True
        other = stage.relay.wake("do: say later")
        stage.relay.is_away = False
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        await eventually(lambda: stage.relay.wakes[other]["receipt"] == "done")
        await activation.leave("test over")


@both
async def test_a_flood_of_updates_is_told_whole_and_in_order(stage, eventually):
    async with stage.activation() as activation:
        await activation.boot()
        wake = stage.relay.wake("do: flood 3000")
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        await activation.leave("test over")
    assert stage.bus.texts().split() == [str(n) for n in range(3000)]


@bridged
async def test_what_is_the_sidecars_own_stays_out_of_the_agents_zone(stage, eventually):
    async with stage.activation() as activation:
        await activation.boot()
        wake = stage.relay.wake("do: say kept")
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        await activation.leave("test over")
    own = {each.name for each in (stage.root / "own").iterdir()}
    assert own == {"journal.jsonl", "conversation.json", "runtime.log"}
    assert own.isdisjoint(each.name for each in stage.state.iterdir())


@bridged
async def test_a_killed_bridge_is_waited_for_and_the_conversation_goes_on(stage, eventually):
    async with stage.activation() as activation:
        await activation.boot()
        wake = stage.relay.wake("do: say before")
        await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
        stage.bridge.kill()
        await stage.bridge.wait()
        await eventually(lambda: stage.bus.of("agent.error"))
        async with bridge_at(stage.bridge_socket):
            assert (await activation.boot()).resumed
            wake = stage.relay.wake("do: say after")
            await eventually(lambda: stage.relay.wakes[wake]["receipt"] == "done")
            await activation.leave("test over")
    assert stage.bus.texts() == "beforeafter"
