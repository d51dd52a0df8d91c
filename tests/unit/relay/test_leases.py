"""Leases: parking against wakes, stale writers, outages, silence."""

import asyncio

import pytest

from sidecar.domain.errors import LeaseLost, SessionEnded
from sidecar.domain.session import ActivationState, SessionStatus
from sidecar.relay import ending, leasing, receipts
from sidecar.relay.loops.answering import Answering
from sidecar.relay.loops.reaper import reap
from sidecar.relay.prefect import RunPhase
from sidecar.wire.claim import EndRequest, ReleaseRequest, RenewRequest


def park(desk, held):
    return leasing.release(
        desk.services, held.claims, ReleaseRequest(holder=held.holder, how="park")
    )


def stop(desk, held):
    return leasing.release(
        desk.services, held.claims, ReleaseRequest(holder=held.holder, how="stop")
    )


def renew(desk, held):
    return leasing.renew(desk.services, held.claims, RenewRequest(holder=held.holder))


async def reap_after(desk, seconds, step=1.0):
    """The reaper's rounds over so much time, the database answering all along."""
    answering = Answering()
    for _ in range(int(seconds / step)):
        await reap(desk.services, answering)
        desk.clock.pass_(step)
    await reap(desk.services, answering)


async def test_an_idle_session_parks_and_costs_no_run(desk):
    held = await desk.start()
    await desk.take_turn(held)
    answer = await park(desk, held)
    assert (answer.parked, answer.status) == (True, "parked")
    async with desk.services.store.transaction() as tx:
        assert await tx.activations.open_of(held.session_id) is None
        assert not await tx.sessions.needing_activation(10)


async def test_a_wake_that_came_first_keeps_the_activation_going(desk):
    held = await desk.start()
    await desk.take_turn(held)
    await desk.say(held.session_id)
    answer = await park(desk, held)
    assert (answer.parked, answer.unread) == (False, 1)
    assert (await desk.session(held.session_id)).status is SessionStatus.RUNNING


async def test_a_wake_that_came_after_activates_the_parked_session_again(desk):
    held = await desk.start()
    await desk.take_turn(held)
    await park(desk, held)
    await desk.say(held.session_id, "again")
    second = await desk.activate(held.session_id)
    assert second.claims.generation == 2
    assert [wake.text for wake in await desk.undone(held.session_id)] == ["again"]


@pytest.mark.parametrize("wake_first", [True, False])
async def test_a_wake_that_meets_a_park_is_never_left_behind(desk, wake_first):
    held = await desk.start()
    await desk.take_turn(held)
    racers = [desk.say(held.session_id), park(desk, held)]
    await asyncio.gather(*(racers if wake_first else reversed(racers)))
    async with desk.services.store.transaction() as tx:
        session = await tx.sessions.get(held.session_id)
        needing = await tx.sessions.needing_activation(10)
    is_running = session.status is SessionStatus.RUNNING
    assert is_running or needing == [held.session_id]


async def test_parking_twice_answers_the_same(desk):
    held = await desk.start()
    await desk.take_turn(held)
    await park(desk, held)
    assert (await park(desk, held)).parked


async def test_a_stale_generation_is_told_so_by_every_write(desk):
    held = await desk.start()
    await reap_after(desk, 30)
    await desk.activate(held.session_id)
    with pytest.raises(LeaseLost):
        await renew(desk, held)
    with pytest.raises(LeaseLost):
        await park(desk, held)
    with pytest.raises(LeaseLost):
        await desk.report(held, "read")
    with pytest.raises(LeaseLost):
        await ending.end(desk.services, held.claims, EndRequest(holder=held.holder))
    with pytest.raises(LeaseLost):
        await desk.spawn(held)
    with pytest.raises(LeaseLost):
        await receipts.unread(desk.services, held.claims)


async def test_a_silent_holder_is_replaced_after_one_ttl(desk):
    held = await desk.start()
    await reap_after(desk, 19)
    assert (await desk.session(held.session_id)).lease_holder == held.holder
    await reap_after(desk, 21)
    assert (await desk.session(held.session_id)).lease_holder is None
    assert (await desk.activate(held.session_id)).claims.generation == 2


async def test_a_holder_that_renews_is_left_alone(desk):
    held = await desk.start()
    answering = Answering()
    for _ in range(60):
        desk.clock.pass_(1)
        await renew(desk, held)
        await reap(desk.services, answering)
    assert (await desk.session(held.session_id)).lease_holder == held.holder


async def test_after_an_outage_nothing_is_replaced_before_one_ttl_of_answers(desk):
    held = await desk.start()
    answering = Answering()
    await reap(desk.services, answering)
    desk.clock.pass_(600)
    await reap(desk.services, answering)
    assert (await desk.session(held.session_id)).lease_holder == held.holder
    await renew(desk, held)
    await reap_after(desk, 10)
    assert (await desk.session(held.session_id)).lease_holder == held.holder


async def test_an_expired_token_of_the_current_generation_still_renews(desk):
    held = await desk.start()
    desk.clock.pass_(3600)
    token = held.bundle.token.get_secret_value()
    claims = desk.services.tokens.verify_session(token, allow_expired=True)
    answer = await leasing.renew(desk.services, claims, RenewRequest(holder=held.holder))
    desk.services.tokens.verify_session(answer.token.get_secret_value())


async def test_an_idle_session_whose_holder_died_is_parked_not_restarted(desk):
    held = await desk.start()
    await desk.take_turn(held)
    await reap_after(desk, 25)
    assert (await desk.session(held.session_id)).status is SessionStatus.PARKED


async def test_five_activations_without_a_finished_turn_fail_the_session(desk):
    held = await desk.start()
    for _ in range(5):
        await stop(desk, held)
        session = await desk.session(held.session_id)
        if session.status.is_terminal:
            break
        desk.clock.pass_(61)
        held = await desk.activate(held.session_id)
    session = await desk.session(held.session_id)
    assert session.status is SessionStatus.FAILED
    assert "5 activations in a row" in (session.outcome or "")


async def test_a_finished_turn_forgives_earlier_deaths(desk):
    held = await desk.start()
    await stop(desk, held)
    desk.clock.pass_(61)
    held = await desk.activate(held.session_id)
    assert (await desk.session(held.session_id)).failures == 1
    await desk.take_turn(held)
    assert (await desk.session(held.session_id)).failures == 0


async def test_letting_go_while_prefect_cancels_the_run_cancels_the_session(desk):
    held = await desk.start()
    async with desk.services.store.transaction() as tx:
        run = (await tx.activations.open_of(held.session_id)).flow_run_id
    desk.prefect.move(run, RunPhase.CANCELLED, "Cancelling")
    await stop(desk, held)
    assert (await desk.session(held.session_id)).status is SessionStatus.CANCELLED


async def test_ending_tells_the_caller_and_answers_a_repeat_alike(desk):
    boss = await desk.start()
    worker = await desk.activate(await desk.spawn(boss))
    request = EndRequest(holder=worker.holder, summary="built it")
    first = await ending.end(desk.services, worker.claims, request)
    assert await ending.end(desk.services, worker.claims, request) == first
    told = [wake for wake in await desk.undone(boss.session_id) if wake.from_session_id]
    assert [(wake.kind, wake.payload["status"]) for wake in told] == [("state_change", "complete")]
    assert "child.ended" in await desk.events(boss.session_id)
    async with desk.services.store.transaction() as tx:
        [activation] = await tx.activations.list_of(worker.session_id)
    assert activation.state is ActivationState.ENDED


async def test_the_turn_that_ends_a_session_is_counted(desk):
    worker = await desk.activate(await desk.spawn(await desk.start()))
    for receipt in ("delivered", "read"):
        await desk.report(worker, receipt)
    await ending.end(desk.services, worker.claims, EndRequest(holder=worker.holder, summary="x"))
    assert (await desk.session(worker.session_id)).turns == 1


async def test_an_ended_session_takes_no_message(desk):
    held = await desk.start()
    await ending.end(desk.services, held.claims, EndRequest(holder=held.holder))
    with pytest.raises(SessionEnded):
        await desk.say(held.session_id)
