"""Activations: asked for once, closed when their run is no more, asked for again with backoff."""

import asyncio
from datetime import timedelta

from sidecar.domain.session import ActivationState, SessionStatus
from sidecar.relay import cancelling
from sidecar.relay.activating import request_missing
from sidecar.relay.prefect import RunPhase
from sidecar.relay.reconciling import Reconciler


async def open_activation(desk, session_id):
    async with desk.services.store.transaction() as tx:
        return await tx.activations.open_of(session_id)


def reconcile(desk, reconciler=None, since=None):
    return (reconciler or Reconciler()).reconcile(desk.services, since or desk.clock())


def runs_of(desk, session_id):
    return [
        run for run in desk.prefect.runs.values() if run.parameters.get("session_id") == session_id
    ]


async def test_a_spawned_session_gets_one_run_however_many_relays_look(desk, desk_of):
    child = await desk.spawn(await desk.start())
    other = desk_of()
    await asyncio.gather(*(request_missing(each.services) for each in (desk, other) * 3))
    assert len(runs_of(desk, child)) == 1


async def test_a_run_that_crashed_is_replaced_after_a_pause(desk):
    child = await desk.spawn(await desk.start())
    await request_missing(desk.services)
    desk.prefect.move(runs_of(desk, child)[0].id, RunPhase.FINAL, "Crashed")
    await reconcile(desk)
    await request_missing(desk.services)
    activation = await open_activation(desk, child)
    assert activation.not_before == desk.clock() + timedelta(seconds=1)
    assert len(runs_of(desk, child)) == 1
    desk.clock.pass_(1)
    await request_missing(desk.services)
    assert len(runs_of(desk, child)) == 2


async def test_a_run_that_does_not_claim_is_given_up_after_a_minute(desk):
    child = await desk.spawn(await desk.start())
    await request_missing(desk.services)
    desk.prefect.move(runs_of(desk, child)[0].id, RunPhase.RUNNING)
    since = desk.clock()
    await reconcile(desk, since=since)
    desk.clock.pass_(59)
    await reconcile(desk, since=since)
    assert (await open_activation(desk, child)).state is ActivationState.REQUESTED
    desk.clock.pass_(2)
    await reconcile(desk, since=since)
    assert await open_activation(desk, child) is None
    assert runs_of(desk, child)[0].state.name == "Crashed"


async def test_time_in_which_the_relay_was_away_does_not_count_against_a_claim(desk):
    child = await desk.spawn(await desk.start())
    await request_missing(desk.services)
    desk.prefect.move(runs_of(desk, child)[0].id, RunPhase.RUNNING)
    await reconcile(desk)
    desk.clock.pass_(600)
    await reconcile(desk)
    assert await open_activation(desk, child) is not None


async def test_cancelling_the_run_in_prefect_cancels_the_session(desk):
    child = await desk.spawn(await desk.start())
    await request_missing(desk.services)
    await desk.prefect.cancel(runs_of(desk, child)[0].id)
    await reconcile(desk)
    assert (await desk.session(child)).status is SessionStatus.CANCELLED


async def test_a_running_session_cancelled_in_prefect_is_told_then_cancelled(desk):
    held = await desk.start()
    run = (await open_activation(desk, held.session_id)).flow_run_id
    reconciler = Reconciler()
    desk.prefect.move(run, RunPhase.CANCELLED, "Cancelling")
    await reconcile(desk, reconciler)
    assert (await desk.session(held.session_id)).cancel_reason is not None
    desk.prefect.move(run, RunPhase.CANCELLED, "Cancelled")
    await reconcile(desk, reconciler)
    assert (await desk.session(held.session_id)).status is SessionStatus.CANCELLED


async def test_a_run_cancelled_along_with_the_one_above_is_replaced(desk):
    child = await desk.activate(await desk.spawn(await desk.start()))
    run = (await open_activation(desk, child.session_id)).flow_run_id
    desk.prefect.move(run, RunPhase.CANCELLED, "Cancelling", by_parent=True)
    await reconcile(desk)
    assert (await desk.session(child.session_id)).status is SessionStatus.RUNNING
    desk.clock.pass_(2)
    assert (await desk.activate(child.session_id)).claims.generation == 2


async def test_a_run_that_waits_says_what_for(desk):
    child = await desk.spawn(await desk.start())
    await request_missing(desk.services)
    desk.prefect.move(runs_of(desk, child)[0].id, RunPhase.WAITING, "Late")
    await reconcile(desk)
    assert (await open_activation(desk, child)).queued_reason == "queued: Late"


async def test_an_agent_without_deployment_waits_and_says_so(desk):
    desk.prefect.deployments = []
    boss = await desk_start_without_deployment(desk)
    child = await desk.spawn(boss)
    await request_missing(desk.services)
    assert "x1 agents apply" in (await open_activation(desk, child)).queued_reason
    desk.prefect.deployments = None
    desk.clock.pass_(6)
    await request_missing(desk.services)
    assert len(runs_of(desk, child)) == 1


async def desk_start_without_deployment(desk):
    desk.prefect.deployments = None
    held = await desk.start()
    desk.prefect.deployments = []
    return held


async def test_a_living_session_outlives_its_run_being_forgotten_by_prefect(desk):
    held = await desk.start()
    desk.prefect.runs.clear()
    await reconcile(desk)
    assert (await desk.session(held.session_id)).lease_holder == held.holder


async def test_five_runs_that_never_claimed_fail_the_child_and_tell_its_caller(desk):
    boss = await desk.start()
    child = await desk.spawn(boss)
    for _ in range(5):
        desk.clock.pass_(61)
        await request_missing(desk.services)
        desk.prefect.move(runs_of(desk, child)[-1].id, RunPhase.FINAL, "Crashed", "OOM")
        await reconcile(desk)
    session = await desk.session(child)
    assert session.status is SessionStatus.FAILED
    assert "OOM" in session.outcome
    assert (await desk.undone(boss.session_id))[-1].payload["status"] == "failed"


async def test_a_holder_that_ignores_a_cancel_loses_its_run(desk):
    held = await desk.start()
    run = (await open_activation(desk, held.session_id)).flow_run_id
    await cancelling.cancel(desk.services, held.session_id, "enough", "operator:test")
    reconciler = Reconciler()
    await reconcile(desk, reconciler)
    assert desk.prefect.runs[run].state.phase is RunPhase.RUNNING
    desk.clock.pass_(21)
    await reconcile(desk, reconciler)
    assert desk.prefect.runs[run].state.phase is RunPhase.CANCELLED


async def test_while_prefect_is_away_a_session_waits_and_says_for_what(desk):
    child = await desk.spawn(await desk.start())
    desk.prefect.is_away = True
    await request_missing(desk.services)
    assert "Prefect does not answer" in (await open_activation(desk, child)).queued_reason
    desk.prefect.is_away = False
    desk.clock.pass_(3)
    await request_missing(desk.services)
    assert len(runs_of(desk, child)) == 1
    assert (await desk.session(child)).failures == 0
