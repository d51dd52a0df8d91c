"""Cancelling: descendants first, at once where nobody runs, told where somebody does."""

from sidecar.domain.agent import AgentKind
from sidecar.domain.grant import GrantType
from sidecar.domain.session import SessionStatus
from sidecar.domain.wake import Receipt
from sidecar.relay import cancelling, ending, leasing
from sidecar.relay.activating import request_missing
from sidecar.relay.loops.answering import Answering
from sidecar.relay.loops.reaper import reap
from sidecar.relay.prefect import RunPhase
from sidecar.wire.claim import EndRequest, ReleaseRequest, RenewRequest

CANCELLED = SessionStatus.CANCELLED


def cancel(desk, session_id):
    return cancelling.cancel(desk.services, session_id, "enough", "operator:test")


def let_go(desk, held, how="stop"):
    return leasing.release(desk.services, held.claims, ReleaseRequest(holder=held.holder, how=how))


async def test_a_pending_session_is_cancelled_at_once_and_its_run_too(desk):
    boss = await desk.start()
    child = await desk.spawn(boss)
    await request_missing(desk.services)
    answer = await cancel(desk, child)
    assert answer.status == "cancelled"
    [wake] = await desk.wakes(child)
    assert wake.receipt is Receipt.UNDELIVERABLE
    run = next(
        run for run in desk.prefect.runs.values() if run.parameters.get("session_id") == child
    )
    assert run.state.phase is RunPhase.CANCELLED


async def test_a_parked_session_is_cancelled_at_once(desk):
    held = await desk.start()
    await desk.take_turn(held)
    await let_go(desk, held, "park")
    assert (await cancel(desk, held.session_id)).status == "cancelled"


async def test_a_running_session_is_told_by_its_lease_and_ends_when_it_lets_go(desk):
    held = await desk.start()
    assert (await cancel(desk, held.session_id)).status == "cancelling"
    answer = await leasing.renew(desk.services, held.claims, RenewRequest(holder=held.holder))
    assert answer.cancel_reason == "enough"
    assert not (await let_go(desk, held, "park")).parked
    await let_go(desk, held)
    session = await desk.session(held.session_id)
    assert (session.status, session.outcome) == (CANCELLED, "enough")


async def test_a_holder_that_never_answers_a_cancel_is_cancelled_when_its_lease_runs_out(desk):
    held = await desk.start()
    await cancel(desk, held.session_id)
    answering = Answering()
    for _ in range(25):
        await reap(desk.services, answering)
        desk.clock.pass_(1)
    assert (await desk.session(held.session_id)).status is CANCELLED


async def test_a_tree_is_cancelled_from_its_leaves(desk):
    await desk.agent("leaf", AgentKind.WORKER)
    await desk.grant("worker", GrantType.SPAWN, "leaf")
    boss = await desk.start()
    worker = await desk.activate(await desk.spawn(boss))
    leaf = await desk.spawn(worker, child_agent_id="leaf")
    await cancel(desk, boss.session_id)
    assert (await desk.session(leaf)).status is CANCELLED
    assert (await desk.session(worker.session_id)).cancel_reason == "enough"
    await let_go(desk, worker)
    await let_go(desk, boss)
    for each in (worker.session_id, boss.session_id):
        assert (await desk.session(each)).status is CANCELLED


async def test_children_do_not_outlive_a_session_that_ends(desk):
    boss = await desk.start()
    running = await desk.activate(await desk.spawn(boss))
    pending = await desk.spawn(boss)
    await ending.end(desk.services, boss.claims, EndRequest(holder=boss.holder))
    assert (await desk.session(pending)).status is CANCELLED
    assert (await desk.session(running.session_id)).cancel_reason is not None
    await let_go(desk, running)
    assert (await desk.session(running.session_id)).status is CANCELLED


async def test_a_caller_is_not_woken_by_what_it_cancelled_itself(desk):
    boss = await desk.start()
    child = await desk.spawn(boss)
    before = len(await desk.undone(boss.session_id))
    await cancelling.cancel_child(desk.services, boss.claims, child, "not needed")
    assert len(await desk.undone(boss.session_id)) == before
    assert "child.ended" in await desk.events(boss.session_id)


async def test_an_operators_cancel_of_a_child_wakes_its_caller(desk):
    boss = await desk.start()
    child = await desk.spawn(boss)
    await cancel(desk, child)
    assert (await desk.undone(boss.session_id))[-1].payload["status"] == "cancelled"


async def test_cancelling_twice_and_cancelling_what_ended_change_nothing(desk):
    held = await desk.start()
    await desk.take_turn(held)
    await let_go(desk, held, "park")
    await cancel(desk, held.session_id)
    events = await desk.events(held.session_id)
    assert (await cancel(desk, held.session_id)).status == "cancelled"
    assert await desk.events(held.session_id) == events
