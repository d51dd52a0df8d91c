"""Claiming: who becomes the activation, who becomes a wake, who ends quietly."""

import asyncio

import pytest

from sidecar.domain.errors import AgentUnknown, LeaseLost
from sidecar.domain.ids import SessionId
from sidecar.domain.session import SessionStatus
from sidecar.domain.wake import WakeKind
from sidecar.relay import ending, leasing
from sidecar.relay.prefect import RunPhase
from sidecar.wire.claim import EndRequest, RenewRequest


async def test_a_start_begins_a_session_with_its_text_as_first_wake(desk):
    held = await desk.start(text="ship it")
    session = await desk.session(held.session_id)
    assert (session.status, session.generation) == (SessionStatus.RUNNING, 1)
    [wake] = await desk.undone(held.session_id)
    assert (wake.kind, wake.text) == (WakeKind.USER, "ship it")
    assert await desk.events(held.session_id) == [
        "session.started",
        "user.message",
        "session.activated",
    ]


async def test_a_second_start_of_a_live_orchestrator_becomes_a_wake_and_says_so(desk):
    held = await desk.start(text="first")
    run = await desk.run()
    answer = await desk.claim(run, agent="boss", text="second")
    assert (answer.outcome, answer.session_id) == ("forwarded", held.session_id)
    assert [wake.text for wake in await desk.undone(held.session_id)] == ["first", "second"]


async def test_a_forwarded_start_that_claims_again_sends_no_second_wake(desk):
    held = await desk.start()
    run = await desk.run()
    first = await desk.claim(run, agent="boss", text="once")
    again = await desk.claim(run, agent="boss", text="once")
    assert first.wake_id == again.wake_id
    assert len(await desk.undone(held.session_id)) == 2


async def test_two_starts_at_once_make_one_session(desk):
    runs = [await desk.run() for _ in range(6)]
    answers = await asyncio.gather(*(desk.claim(run, agent="boss", text=run) for run in runs))
    outcomes = sorted(answer.outcome for answer in answers)
    assert outcomes == ["claimed", *["forwarded"] * 5]
    assert len({answer.session_id for answer in answers}) == 1


async def test_a_start_after_the_end_begins_a_new_session(desk):
    held = await desk.start()
    await ending.end(desk.services, held.claims, EndRequest(holder=held.holder, summary="done"))
    assert (await desk.start()).session_id != held.session_id


async def test_a_schedule_delivers_the_agents_heartbeat(desk):
    held = await desk.start(trigger="scheduler")
    [wake] = await desk.undone(held.session_id)
    assert wake.kind is WakeKind.HEARTBEAT


async def test_claiming_twice_with_one_nonce_is_one_claim(desk):
    run = await desk.run()
    first = desk.held(run, await desk.claim(run, agent="boss"))
    again = desk.held(run, await desk.claim(run, agent="boss"))
    assert (first.session_id, first.claims.generation) == (again.session_id, 1)
    assert again.claims.generation == 1


async def test_another_process_of_the_same_run_fences_the_first_off(desk):
    run = await desk.run()
    first = desk.held(run, await desk.claim(run, agent="boss"))
    second = await desk.claim(run, agent="boss", nonce="another-process")
    assert desk.held(run, second, "another-process").claims.generation == 2
    with pytest.raises(LeaseLost):
        await leasing.renew(desk.services, first.claims, RenewRequest(holder=first.holder))


async def test_the_loser_of_two_activations_ends_quietly(desk):
    held = await desk.start()
    answer = await desk.claim(await desk.run(), session_id=held.session_id)
    assert answer.outcome == "lost"


async def test_a_run_that_prefect_does_not_run_gets_nothing(desk):
    run = await desk.run()
    desk.prefect.move(run, RunPhase.FINAL, "Crashed")
    assert (await desk.claim(run, agent="boss")).outcome == "lost"
    assert (await desk.claim("no such run", agent="boss")).outcome == "lost"


async def test_an_ended_session_cannot_be_activated(desk):
    held = await desk.start()
    await ending.end(desk.services, held.claims, EndRequest(holder=held.holder))
    answer = await desk.claim(await desk.run(), session_id=held.session_id)
    assert answer.outcome == "lost"
    assert "complete" in answer.reason


async def test_an_agent_nobody_applied_is_unknown(desk):
    with pytest.raises(AgentUnknown):
        await desk.claim(await desk.run(), agent="nobody")


async def test_a_worker_may_live_many_times(desk):
    first, second = await desk.start("worker"), await desk.start("worker")
    assert first.session_id != second.session_id


async def test_the_bundle_shows_only_what_is_granted(desk):
    boss, worker = await desk.start(), await desk.start("worker")
    assert "spawn_session" in boss.bundle.tools
    assert [agent.slug for agent in boss.bundle.spawnable] == ["worker"]
    assert "spawn_session" not in worker.bundle.tools
    assert "merge_branch" not in boss.bundle.tools
    assert boss.bundle.attachments[0].allow_push is False, "no push grant was given"


async def test_usage_adds_up_over_activations(desk):
    held = await desk.start()
    used = [{"model": "m", "input_tokens": 5, "output_tokens": 2}]
    for _ in range(2):
        await leasing.renew(
            desk.services, held.claims, RenewRequest(holder=held.holder, usage=used)
        )
    assert (await desk.session(held.session_id)).usage[0].input_tokens == 5
    run = held.bundle and (await desk.session(held.session_id)).lease_holder.split("/")[0]
    again = desk.held(
        run, await desk.claim(run, agent="boss", nonce="another-process"), "another-process"
    )
    await leasing.renew(desk.services, again.claims, RenewRequest(holder=again.holder, usage=used))
    assert (await desk.session(SessionId(held.session_id))).usage[0].input_tokens == 10
