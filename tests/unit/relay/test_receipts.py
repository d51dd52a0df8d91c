"""Receipts: forward only, repeatable, and three interruptions are poison."""

import pytest

from sidecar.domain.budget import Budget
from sidecar.domain.errors import WakeUnknown
from sidecar.domain.session import SessionStatus
from sidecar.domain.wake import Receipt
from sidecar.relay import ending
from sidecar.wire.claim import EndRequest


async def only_wake(desk, held):
    [wake] = await desk.wakes(held.session_id)
    return wake


async def test_receipts_move_forward_and_a_late_repeat_changes_nothing(desk):
    held = await desk.start()
    wake = (await only_wake(desk, held)).id
    await desk.report(held, "delivered", wake)
    await desk.report(held, "read", wake)
    await desk.report(held, "delivered", wake)
    assert (await only_wake(desk, held)).receipt is Receipt.READ
    await desk.report(held, "done", wake)
    await desk.report(held, "read", wake)
    assert (await only_wake(desk, held)).receipt is Receipt.DONE


async def test_reading_twice_is_one_attempt(desk):
    held = await desk.start()
    wake = (await only_wake(desk, held)).id
    await desk.report(held, "read", wake)
    await desk.report(held, "read", wake)
    assert (await only_wake(desk, held)).attempt == 1


async def test_reading_after_an_interruption_is_the_next_attempt(desk):
    held = await desk.start()
    wake = (await only_wake(desk, held)).id
    await desk.report(held, "read", wake)
    await desk.report(held, "interrupted", wake)
    await desk.report(held, "interrupted", wake)
    await desk.report(held, "read", wake)
    stored = await only_wake(desk, held)
    assert (stored.attempt, stored.interruptions) == (2, 1)


async def test_a_turn_counts_once_however_often_its_end_is_reported(desk):
    held = await desk.start()
    wake = (await only_wake(desk, held)).id
    await desk.report(held, "done", wake)
    await desk.report(held, "done", wake)
    assert (await desk.session(held.session_id)).turns == 1
    assert (await desk.events(held.session_id)).count("wake.done") == 1


async def test_a_wake_interrupted_three_times_fails_the_session_and_tells_its_caller(desk):
    boss = await desk.start()
    worker = await desk.activate(await desk.spawn(boss))
    wake = (await only_wake(desk, worker)).id
    for _ in range(3):
        await desk.report(worker, "read", wake)
        await desk.report(worker, "interrupted", wake)
    session = await desk.session(worker.session_id)
    assert session.status is SessionStatus.FAILED
    assert wake in (session.outcome or "")
    assert (await only_wake(desk, worker)).receipt is Receipt.UNDELIVERABLE
    assert (await desk.undone(boss.session_id))[-1].payload["status"] == "failed"


async def test_what_was_being_read_is_done_when_the_session_ends_and_the_rest_undeliverable(desk):
    held = await desk.start()
    await desk.report(held, "read", (await only_wake(desk, held)).id)
    await desk.say(held.session_id, "too late")
    await ending.end(desk.services, held.claims, EndRequest(holder=held.holder))
    receipts = [wake.receipt for wake in await desk.wakes(held.session_id)]
    assert receipts == [Receipt.DONE, Receipt.UNDELIVERABLE]


async def test_an_ended_session_may_still_report_and_changes_nothing(desk):
    held = await desk.start()
    wake = (await only_wake(desk, held)).id
    await ending.end(desk.services, held.claims, EndRequest(holder=held.holder))
    await desk.report(held, "done", wake)
    assert (await desk.session(held.session_id)).status is SessionStatus.COMPLETE


async def test_another_sessions_wake_is_unknown(desk):
    boss, worker = await desk.start(), await desk.start("worker")
    with pytest.raises(WakeUnknown):
        await desk.report(worker, "done", (await only_wake(desk, boss)).id)


async def test_a_turn_beyond_the_budget_stops_the_session(desk):
    held = await desk.start()
    await desk.change(held.session_id, budget=Budget(turns=1))
    await desk.take_turn(held)
    wake = await desk.say(held.session_id)
    await desk.report(held, "read", wake.id)
    assert "turns" in ((await desk.session(held.session_id)).cancel_reason or "")
    assert "budget.exhausted" in await desk.events(held.session_id)
