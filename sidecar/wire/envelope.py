"""The envelope: the outer record of an event on the bus. Several may ride in one message as a JSON array."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from sidecar.domain.errors import InvalidArguments
from sidecar.domain.event import NewEvent
from sidecar.domain.ids import EnvelopeId, SessionId
from sidecar.wire.model import WireModel

VERSION = 1


class Envelope(WireModel):
    v: int = VERSION
    id: str
    session_id: str
    generation: int = Field(ge=0)
    source: str = Field(max_length=64)
    source_sequence: int = Field(ge=1)
    timestamp: datetime
    type: str = Field(max_length=64)
    payload: dict[str, Any] = Field(default_factory=dict)

    def to_event(self) -> NewEvent:
        return NewEvent(
            id=EnvelopeId(self.id),
            session_id=SessionId(self.session_id),
            generation=self.generation,
            source=self.source,
            source_sequence=self.source_sequence,
            timestamp=self.timestamp,
            type=self.type,
            payload=self.payload,
        )


_BATCH: TypeAdapter[list[Envelope]] = TypeAdapter(list[Envelope])


def encode(envelopes: Sequence[Envelope]) -> bytes:
    return _BATCH.dump_json(list(envelopes))


def decode(body: bytes) -> list[Envelope]:
    """Reads one envelope or an array of them. Raises InvalidArguments for anything else."""
    try:
        document = json.loads(body)
        return _BATCH.validate_python(document if isinstance(document, list) else [document])
    except (ValueError, ValidationError) as error:
        raise InvalidArguments(f"expected an envelope or an array of them: {error}") from error


def message_id(envelopes: Sequence[Envelope]) -> str:
    """The Nats-Msg-Id: first id and count, so that only the same batch is a repeat."""
    return f"{envelopes[0].id}:{len(envelopes)}"
