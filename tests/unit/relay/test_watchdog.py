"""The watchdog: wakes the caller of a silent child, backs off, knows causes, respects quiet hints."""

import pytest

from sidecar.domain.event import EventType, NewEvent
from sidecar.domain.ids import new_id
from sidecar.domain.wake import WakeKind
from sidecar.relay import attention
from sidecar.relay.journal import note
from sidecar.relay.loops.watchdog import look
from sidecar.wire.sessions import InputRequest, QuietRequest


@pytest.fixture
async def family(desk):
    boss = await desk.start()
    return boss, await desk.activate(await desk.spawn(boss))


async def fired(desk, boss):
    return [wake for wake in await desk.undone(boss.session_id) if wake.kind is WakeKind.WATCHDOG]


async def quiet(desk, child):
    """The child's last sign of life, now."""
    session_id = getattr(child, "session_id", child)
    event = NewEvent(
        id=new_id(),
        session_id=session_id,
        generation=1,
        source="sidecar",
        source_sequence=None,
        timestamp=desk.clock(),
        type="agent.text",
    )
    async with desk.services.store.transaction() as tx:
        await tx.events.append(session_id, [event])


async def minutes(desk, number):
    for _ in range(int(number * 6)):
        desk.clock.pass_(10)
        await look(desk.services)


async def test_three_silent_minutes_wake_the_caller_then_ever_more_rarely(desk, family):
    boss, child = family
    await quiet(desk, child)
    counts = []
    for wait in (2.5, 1, 4, 1.5, 8, 1.5):
        await minutes(desk, wait)
        counts.append(len(await fired(desk, boss)))
    assert counts == [0, 1, 1, 2, 2, 3]


async def test_any_event_starts_the_count_anew(desk, family):
    boss, child = family
    await quiet(desk, child)
    await minutes(desk, 4)
    await quiet(desk, child)
    await minutes(desk, 5.5)
    assert len(await fired(desk, boss)) == 2


async def test_a_quiet_hint_keeps_it_still(desk, family):
    boss, child = family
    await attention.expect_quiet(desk.services, child.claims, QuietRequest(seconds=1200))
    await quiet(desk, child)
    await minutes(desk, 19)
    assert not await fired(desk, boss)


async def test_it_says_that_a_tool_is_running(desk, family):
    boss, child = family
    async with desk.services.store.transaction() as tx:
        session = await tx.sessions.get(child.session_id)
        await note(tx, session, EventType.AGENT_TOOL_CALL, {"title": "npm ci", "tool_call_id": "1"})
    await quiet(desk, child)
    await minutes(desk, 4)
    assert "npm ci" in (await fired(desk, boss))[0].text


async def test_it_says_that_a_human_is_waited_for(desk, family):
    boss, child = family
    request = InputRequest(question="which colour?")
    await attention.request_input(desk.services, child.claims, request, None)
    await quiet(desk, child)
    await minutes(desk, 4)
    assert "human" in (await fired(desk, boss))[0].text


async def test_a_child_that_does_not_run_yet_says_why(desk):
    boss = await desk.start()
    child = await desk.spawn(boss)
    await quiet(desk, child)
    await minutes(desk, 4)
    assert "does not run yet" in (await fired(desk, boss))[0].text
