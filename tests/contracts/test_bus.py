"""What the bus promises, of NATS JetStream and of its double alike."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from sidecar.bus import nats
from sidecar.bus.credentials import BusUsers
from sidecar.bus.memory import MemoryBus
from sidecar.bus.nats import Login, NatsBus, login_of_file
from sidecar.bus.port import Bus, Deliveries, Delivery
from sidecar.domain.errors import BusUnavailable
from sidecar.domain.ids import SessionId
from sidecar.wire.subjects import inbox_prefix

ONE, TWO = SessionId("0190-one"), SessionId("0190-two")


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.real)])
async def bus(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bus]:
    monkeypatch.setattr(nats, "ACK_WAIT_SECONDS", 5.0)
    made: Bus = MemoryBus() if request.param == "memory" else relay_bus(request)
    async with made.deliveries():
        yield made
    await made.aclose()


def relay_bus(request: pytest.FixtureRequest) -> NatsBus:
    server = request.getfixturevalue("nats_server")
    return NatsBus(lambda: login_of_file(server.url, server.keys / "relay.creds"))


def session_bus(server: Any, session_id: SessionId, lifetime: float = 60) -> NatsBus:
    users = BusUsers((server.keys / "account.seed").read_text())
    held = [(time.monotonic(), users.mint(session_id, timedelta(seconds=lifetime)))]

    def login() -> Login:
        """Renewed when half of its life is over, as a sidecar's is."""
        if time.monotonic() - held[0][0] > lifetime / 2:
            held[0] = time.monotonic(), users.mint(session_id, timedelta(seconds=lifetime))
        user = held[0][1]
        return Login(
            url=server.url,
            jwt=user.jwt.get_secret_value(),
            seed=user.seed.get_secret_value(),
            inbox_prefix=inbox_prefix(session_id),
        )

    return NatsBus(login)


async def test_an_event_comes_once_however_often_it_is_published(bus: Bus):
    async with bus.deliveries() as deliveries:
        for _ in range(3):
            await bus.publish_events(ONE, b"body", "id:1")
        (delivery,) = await fetch(deliveries, 1)
        assert (delivery.subject, delivery.body) == (f"x1.session.{ONE}.events", b"body")
        await deliveries.ack([delivery])
        assert list(await deliveries.fetch(10, 0.2)) == []


async def test_what_was_acknowledged_does_not_come_again(bus: Bus):
    async with bus.deliveries() as deliveries:
        await bus.publish_events(ONE, b"one", "one")
        await bus.publish_events(TWO, b"two", "two")
        await deliveries.ack(await fetch(deliveries, 2))
    async with bus.deliveries() as deliveries:
        assert list(await deliveries.fetch(10, 0.2)) == []


async def test_what_a_dead_reader_did_not_acknowledge_comes_to_the_next(bus: Bus):
    async with bus.deliveries() as deliveries:
        await bus.publish_events(ONE, b"stored", "stored")
        await bus.publish_events(ONE, b"not yet", "not yet")
        first, _ = await fetch(deliveries, 2)
        await deliveries.ack([first])
    async with bus.deliveries() as deliveries:
        (again,) = await fetch(deliveries, 1)
        assert again.body == b"not yet"


async def test_a_bell_reaches_the_session_it_is_rung_for(bus: Bus):
    async with bus.doorbell(ONE) as bells:
        await bus.ring(TWO, "not mine")
        await bus.ring(ONE, "wake-1")
        assert await asyncio.wait_for(anext(bells), 30) == "wake-1"


async def test_a_bell_that_nobody_hears_is_lost_without_an_error(bus: Bus):
    await bus.ring(ONE, "wake-1")


@pytest.mark.real
async def test_a_session_publishes_its_own_events_and_nobody_elses(request, nats_server):
    relay, mine = relay_bus(request), session_bus(nats_server, ONE)
    async with relay.deliveries() as deliveries:
        await mine.publish_events(ONE, b"mine", "mine")
        with pytest.raises(BusUnavailable):
            await mine.publish_events(TWO, b"forged", "forged")
        assert [each.body for each in await fetch(deliveries, 1)] == [b"mine"]
    async with mine.doorbell(ONE) as bells:
        await relay.ring(ONE, "wake-1")
        assert await asyncio.wait_for(anext(bells), 30) == "wake-1"
    await mine.aclose()
    await relay.aclose()


@pytest.mark.real
async def test_a_session_cannot_hear_anothers_doorbell(request, nats_server):
    relay, mine = relay_bus(request), session_bus(nats_server, ONE)
    async with mine.doorbell(TWO) as bells:
        await relay.ring(TWO, "secret")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(bells), 0.5)
    await mine.aclose()
    await relay.aclose()


@pytest.mark.real
async def test_a_user_that_ran_out_is_replaced_by_the_newest(request, nats_server):
    relay = relay_bus(request)
    async with relay.deliveries():
        mine = session_bus(nats_server, ONE, lifetime=2)
        await publish_until_stored(mine, "before")
        await asyncio.sleep(3)  # the user's JWT runs out: time is what this is about
        await publish_until_stored(mine, "after")
    await mine.aclose()
    await relay.aclose()


@pytest.mark.real
async def test_a_killed_server_loses_nothing_that_was_acknowledged(request, nats_server):
    relay = relay_bus(request)
    async with relay.deliveries():
        await relay.publish_events(ONE, b"before", "before")
    nats_server.server.kill()
    with pytest.raises(BusUnavailable):
        await relay.publish_events(ONE, b"lost", "lost")
    nats_server.server.start()
    await publish_until_stored(relay, "after")
    async with relay.deliveries() as deliveries:
        bodies: set[bytes] = set()
        async with asyncio.timeout(60):
            while not bodies >= {b"before", b"after"}:
                bodies |= {each.body for each in await fetch(deliveries, 1)}
    await relay.aclose()


async def fetch(deliveries: Deliveries, count: int) -> list[Delivery]:
    """At least `count`, and whatever comes with them."""
    fetched: list[Delivery] = []
    async with asyncio.timeout(60):
        while len(fetched) < count:
            fetched += await deliveries.fetch(10, 1)
    return fetched


async def publish_until_stored(bus: NatsBus, name: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await bus.publish_events(ONE, name.encode(), name)
            except BusUnavailable:
                await asyncio.sleep(0.1)
            else:
                return
