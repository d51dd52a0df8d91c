"""Intake: which envelopes from the bus are believed.

The bus lets an activation publish on its own session's subject only. So an envelope must name the session
of its subject, no generation that has not begun, and not the relay as its source. A gap in a source's
numbers means that something was lost on the way, and is said.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from sidecar.bus.port import Delivery
from sidecar.domain.errors import InvalidArguments, SessionUnknown
from sidecar.domain.event import MAX_PAYLOAD_BYTES, NewEvent
from sidecar.domain.ids import SessionId
from sidecar.relay.journal import SOURCE
from sidecar.relay.legible import is_suspect, legible
from sidecar.relay.services import Services
from sidecar.store.port import Transaction
from sidecar.wire import subjects
from sidecar.wire.envelope import decode

REMEMBERED: Final = 10_000
"""Streams whose last number is kept in memory; older ones are looked up again."""
MAX_TYPE: Final = 64

log = structlog.stdlib.get_logger(__name__)

Stream = tuple[str, int, str]


class Intake:
    def __init__(self) -> None:
        self._generations: dict[SessionId, int] = {}
        self._last: OrderedDict[Stream, int] = OrderedDict()

    async def accept(self, services: Services, batch: Sequence[Delivery]) -> list[NewEvent]:
        """The events of `batch` that are believed, in order."""
        offered = [event for delivery in batch for event in _events(delivery)]
        if not offered:
            return []
        async with services.store.transaction() as tx:
            believed = [event for event in offered if await self._is_believed(tx, event)]
            for event in believed:
                await self._look_for_gap(tx, event)
        return believed

    async def _is_believed(self, tx: Transaction, event: NewEvent) -> bool:
        if event.source == SOURCE:
            return _refuse(event, "it claims to be the relay's own")
        known = self._generations.get(event.session_id, -1)
        if event.generation > known:
            known = await self._generation(tx, event.session_id)
        if event.generation > known:
            return _refuse(event, f"generation {event.generation} has not begun")
        return True

    async def _generation(self, tx: Transaction, session_id: SessionId) -> int:
        try:
            generation = (await tx.sessions.get(session_id)).generation
        except SessionUnknown:
            return -1
        if len(self._generations) >= REMEMBERED:
            self._generations.clear()
        self._generations[session_id] = generation
        return generation

    async def _look_for_gap(self, tx: Transaction, event: NewEvent) -> None:
        stream = (event.session_id, event.generation, event.source)
        last = self._last.get(stream)
        if last is None:
            last = await tx.events.last_source_sequence(*_lookup(event))
        number = event.source_sequence or 0
        if number > last + 1:
            log.warning(
                "gap in events",
                session_id=event.session_id,
                generation=event.generation,
                source=event.source,
                expected=last + 1,
                came=number,
            )
        self._last[stream] = max(last, number)
        self._last.move_to_end(stream)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)


def _lookup(event: NewEvent) -> tuple[SessionId, int, str]:
    return event.session_id, event.generation, event.source


def _events(delivery: Delivery) -> Iterable[NewEvent]:
    try:
        envelopes = decode(delivery.body)
    except (InvalidArguments, RecursionError) as error:
        log.warning("delivery refused", subject=delivery.subject, reason=str(error)[:300])
        return
    thorough = is_suspect(delivery.body)
    for envelope in envelopes:
        event = envelope.to_event()
        if subjects.events(event.session_id) != delivery.subject:
            _refuse(event, f"it came on {delivery.subject}")
            continue
        yield _bounded(_legible(event) if thorough else event, len(delivery.body))


def _legible(event: NewEvent) -> NewEvent:
    return replace(
        event,
        id=legible(event.id),
        source=legible(event.source),
        type=legible(event.type),
        payload=legible(event.payload),
    )


def _bounded(event: NewEvent, body_bytes: int) -> NewEvent:
    """Its number is kept, so that cutting it leaves no gap."""
    if body_bytes <= MAX_PAYLOAD_BYTES:
        return event
    size = len(json.dumps(event.payload))
    if size <= MAX_PAYLOAD_BYTES:
        return event
    return replace(event, payload={"cut": f"payload of {size} bytes is over {MAX_PAYLOAD_BYTES}"})


def _refuse(event: NewEvent, reason: str) -> bool:
    log.warning(
        "envelope refused",
        session_id=event.session_id,
        envelope_id=event.id,
        generation=event.generation,
        source=event.source,
        reason=reason,
    )
    return False
