"""Messages: up to the caller, down to a child, and nowhere else."""

import pytest

from sidecar.domain.errors import InvalidArguments, NotYourChild, SessionEnded, WakeUnknown
from sidecar.domain.wake import Receipt, WakeKind
from sidecar.relay import children, ending, messaging
from sidecar.wire.claim import EndRequest
from sidecar.wire.wakes import MessageRequest


def send(desk, held, to, text="hi", key=None, **fields):
    return messaging.send(
        desk.services, held.claims, MessageRequest(to=to, text=text, **fields), key
    )


@pytest.fixture
async def family(desk):
    boss = await desk.start()
    return boss, await desk.activate(await desk.spawn(boss))


async def test_a_message_to_the_caller_is_a_wake_that_names_the_child(desk, family):
    boss, worker = family
    answer = await send(desk, worker, "caller", "ready", needs_response=True)
    wake = (await desk.undone(boss.session_id))[-1]
    assert (wake.id, wake.kind, wake.sender) == (answer.wake_id, WakeKind.MESSAGE, "worker")
    assert wake.from_session_id == worker.session_id
    assert wake.payload["needs_response"] is True


async def test_a_message_to_a_child_reads_like_a_users(desk, family):
    boss, worker = family
    await send(desk, boss, worker.session_id, "hurry")
    wake = (await desk.undone(worker.session_id))[-1]
    assert (wake.kind, wake.text) == (WakeKind.USER, "hurry")


async def test_a_repeated_message_is_one_wake(desk, family):
    boss, worker = family
    first = await send(desk, worker, "caller", key="k")
    assert (await send(desk, worker, "caller", key="k")).wake_id == first.wake_id
    assert len(await desk.undone(boss.session_id)) == 2


async def test_strangers_cannot_be_messaged_or_read(desk, family):
    boss, _ = family
    stranger = await desk.start("worker")
    with pytest.raises(NotYourChild):
        await send(desk, boss, stranger.session_id)
    with pytest.raises(NotYourChild):
        await send(desk, boss, "no-such-session")
    with pytest.raises(NotYourChild):
        await children.output(
            desk.services, boss.claims, stranger.session_id, after=0, limit=10, types=[]
        )


async def test_a_session_that_nobody_called_has_no_caller(desk):
    with pytest.raises(InvalidArguments, match="nobody called"):
        await send(desk, await desk.start(), "caller")


async def test_the_sender_sees_how_far_its_message_came(desk, family):
    boss, worker = family
    sent = await send(desk, worker, "caller")
    await desk.report(boss, "delivered", sent.wake_id)
    status = await messaging.status(desk.services, worker.claims, sent.wake_id)
    assert status.receipt is Receipt.DELIVERED
    assert set(status.times) == {"accepted", "delivered"}


async def test_others_messages_are_none_of_its_business(desk, family):
    boss, worker = family
    sent = await send(desk, worker, "caller")
    with pytest.raises(WakeUnknown):
        await messaging.status(desk.services, boss.claims, sent.wake_id)


async def test_a_child_is_read_from_where_the_caller_stopped(desk, family):
    boss, worker = family
    first = await children.output(
        desk.services, boss.claims, worker.session_id, after=0, limit=2, types=[]
    )
    rest = await children.output(
        desk.services, boss.claims, worker.session_id, after=first.last_seq, limit=100, types=[]
    )
    assert [event.sequence for event in first.events] == [1, 2]
    assert rest.events[0].sequence == 3


async def test_a_message_to_a_child_that_ended_says_so(desk, family):
    boss, worker = family
    await ending.end(desk.services, worker.claims, EndRequest(holder=worker.holder))
    with pytest.raises(SessionEnded):
        await send(desk, boss, worker.session_id)
