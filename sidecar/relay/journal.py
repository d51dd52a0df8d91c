"""The relay's own events, written in the transaction they describe.

Save a session before noting anything on it: noting moves the row's `last_sequence`.
"""

from typing import Any

from sidecar.domain.event import EventType, NewEvent
from sidecar.domain.ids import EnvelopeId, new_id
from sidecar.domain.session import Session
from sidecar.relay.services import utc_now
from sidecar.store.port import Transaction

SOURCE = "relay"


async def note(
    tx: Transaction,
    session: Session,
    type: EventType,  # noqa: A002 - an event's own word
    payload: dict[str, Any],
) -> None:
    event = NewEvent(
        id=EnvelopeId(new_id()),
        session_id=session.id,
        generation=session.generation,
        source=SOURCE,
        source_sequence=None,
        timestamp=utc_now(),
        type=type.value,
        payload=payload,
    )
    await tx.events.append(session.id, [event])
