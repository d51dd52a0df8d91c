"""The persister: events from the bus into the ledger, once each, acknowledged after the commit.

What comes over the bus is checked against the subject it came on and the session it names; what does not
fit is dropped with a line in the log. Several replicas take turns; the stream keeps what is not stored yet.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from sidecar.bus.port import Deliveries, Delivery
from sidecar.domain.errors import Unavailable
from sidecar.domain.event import Event, NewEvent
from sidecar.domain.lease import LOOP_LEASE_TTL
from sidecar.relay.intake import Intake
from sidecar.relay.nudges import events_of
from sidecar.relay.services import Services

BATCH: Final = 500
WAIT_SECONDS: Final = 1.0
STANDBY_SECONDS: Final = 2.0
RENEW_LOOP_EVERY: Final = LOOP_LEASE_TTL.total_seconds() / 3
NAME: Final = "persister"

log = structlog.stdlib.get_logger(__name__)


async def run(services: Services) -> None:
    while True:
        if await services.store.take_loop(NAME, services.replica, LOOP_LEASE_TTL):
            async with services.bus.deliveries() as deliveries:
                await _read(services, deliveries)
        await services.nudges.wait(f"loop:{NAME}", STANDBY_SECONDS)


async def _read(services: Services, deliveries: Deliveries) -> None:
    """Until another replica holds the loop."""
    intake = Intake()
    renewed = services.now()
    while True:
        batch = await deliveries.fetch(BATCH, WAIT_SECONDS)
        if batch:
            await persist(services, intake, batch)
            await deliveries.ack(batch)
        if (services.now() - renewed).total_seconds() < RENEW_LOOP_EVERY:
            continue
        if not await services.store.take_loop(NAME, services.replica, LOOP_LEASE_TTL):
            return
        renewed = services.now()


async def persist(services: Services, intake: Intake, batch: Sequence[Delivery]) -> None:
    """Stores what is acceptable in `batch`. Raises StoreUnavailable: then nothing may be acknowledged."""
    events = await intake.accept(services, batch)
    if not events:
        return
    stored = await _store(services, events)
    for session_id in {event.session_id for event in events}:
        services.nudges.nudge(events_of(session_id))
    if len(stored) < len(events):
        log.info("repeats left out", count=len(events) - len(stored))


async def _store(services: Services, events: Sequence[NewEvent]) -> Sequence[Event | None]:
    try:
        async with services.store.transaction() as tx:
            return await tx.events.append_many(events)
    except Unavailable:
        raise
    except Exception:
        log.exception("a batch could not be stored; storing one by one", count=len(events))
        return [await _store_one(services, event) for event in events]


async def _store_one(services: Services, event: NewEvent) -> Event | None:
    """One event that the ledger cannot hold must not stop every other session's."""
    try:
        async with services.store.transaction() as tx:
            stored = await tx.events.append_many([event])
            return stored[0] if stored else None
    except Unavailable:
        raise
    except Exception:
        log.exception("event dropped", session_id=event.session_id, envelope_id=event.id)
        return None
