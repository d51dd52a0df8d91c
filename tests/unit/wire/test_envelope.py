"""Envelopes as they travel, held against one golden file an event type.

A golden file never changes once it is released: another sidecar's events must stay readable. What no part of
the product writes yet has an empty payload.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.domain.errors import InvalidArguments
from sidecar.domain.event import EventType
from sidecar.wire.envelope import Envelope, decode, encode, message_id

GOLDEN = Path(__file__).parent / "golden"


def golden(type_name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{type_name}.json").read_text())


def test_every_event_type_has_one_golden_file():
    assert {path.stem for path in GOLDEN.glob("*.json")} == {each.value for each in EventType}


@pytest.mark.parametrize("type_name", [each.value for each in EventType])
def test_an_envelope_is_written_as_it_was_read(type_name: str):
    document = golden(type_name)
    (envelope,) = decode(json.dumps(document).encode())
    assert envelope.type == type_name
    assert json.loads(encode([envelope])) == [document]


@pytest.mark.parametrize("type_name", [each.value for each in EventType])
def test_an_envelope_is_the_event_it_names(type_name: str):
    document = golden(type_name)
    (envelope,) = decode(json.dumps(document).encode())
    event = envelope.to_event()
    assert (event.id, event.session_id, event.type) == (
        document["id"],
        document["session_id"],
        type_name,
    )
    assert (event.generation, event.source_sequence) == (1, document["source_sequence"])
    assert event.payload == document["payload"]
    assert event.timestamp.utcoffset() is not None


def test_several_envelopes_ride_in_one_message_in_their_order():
    batch = [Envelope.model_validate(golden(name)) for name in ("agent.text", "agent.thought")]
    assert decode(encode(batch)) == batch


def test_what_a_newer_sidecar_adds_is_ignored():
    document = golden("agent.text") | {"v": 2, "mood": "cheerful"}
    (envelope,) = decode(json.dumps(document).encode())
    assert envelope.payload == document["payload"]


def test_a_type_of_a_newer_sidecar_is_kept():
    document = golden("agent.text") | {"type": "agent.dream"}
    (envelope,) = decode(json.dumps(document).encode())
    assert envelope.to_event().type == "agent.dream"


@pytest.mark.parametrize(
    "change",
    [
        {"generation": -1},
        {"source_sequence": 0},
        {"source": "s" * 65},
        {"type": "t" * 65},
        {"timestamp": "yesterday"},
        {"payload": "text"},
        {"session_id": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_envelope_with_a_wrong_field_is_refused(change: dict[str, Any]):
    with pytest.raises(InvalidArguments):
        decode(json.dumps(golden("agent.text") | change).encode())


@pytest.mark.parametrize("body", [b"", b"nonsense", b"\xff\xfe", b"7", b"[[]]", b'{"v": 1}'])
def test_what_is_no_envelope_is_refused(body: bytes):
    with pytest.raises(InvalidArguments):
        decode(body)


def test_only_the_same_batch_is_a_repeat():
    batch = [Envelope.model_validate(golden(name)) for name in ("agent.text", "agent.thought")]
    assert message_id(batch) == f"{batch[0].id}:2"
    assert message_id(batch) != message_id(batch[:1])
