"""The persister: once each, in order, believing nothing that does not fit its subject."""

import json

import pytest
import structlog

from sidecar.bus.port import Delivery
from sidecar.domain.errors import StoreUnavailable
from sidecar.domain.ids import new_id
from sidecar.relay.intake import Intake
from sidecar.relay.legible import legible_json
from sidecar.relay.loops.persister import persist
from sidecar.wire import subjects
from sidecar.wire.envelope import Envelope, encode


def envelope(held, number, **fields):
    base = {
        "id": new_id(),
        "session_id": held.session_id,
        "generation": 1,
        "source": "sidecar",
        "source_sequence": number,
        "timestamp": "2026-11-01T00:00:00Z",
        "type": "agent.text",
        "payload": {"text": f"{number}"},
    }
    return Envelope.model_validate(base | fields)


def delivery(held, *envelopes, body=None):
    return Delivery(
        subject=subjects.events(held.session_id),
        body=body if body is not None else encode(envelopes),
        sequence=1,
    )


async def texts(desk, held):
    async with desk.services.store.transaction() as tx:
        events = await tx.events.after(held.session_id, 0, types=["agent.text"])
    return [event.payload.get("text") for event in events]


async def test_a_redelivered_batch_is_stored_once(desk):
    held = await desk.start()
    batch = [delivery(held, envelope(held, 1), envelope(held, 2))]
    for _ in range(2):
        await persist(desk.services, Intake(), batch)
    assert await texts(desk, held) == ["1", "2"]


@pytest.mark.parametrize(
    "forged",
    [{"session_id": "another"}, {"generation": 2}, {"source": "relay"}],
    ids=["another session", "a generation to come", "the relay's name"],
)
async def test_a_forged_envelope_is_dropped_and_its_neighbours_kept(desk, forged):
    held = await desk.start()
    batch = [delivery(held, envelope(held, 1), envelope(held, 2, **forged), envelope(held, 2))]
    await persist(desk.services, Intake(), batch)
    assert await texts(desk, held) == ["1", "2"]


@pytest.mark.parametrize("body", [b"garbage", b"[]", b"{}", b"[1]", b'{"v":1}', b"\xff"])
async def test_garbage_stops_nobody(desk, body):
    held = await desk.start()
    await persist(
        desk.services, Intake(), [delivery(held, body=body), delivery(held, envelope(held, 1))]
    )
    assert await texts(desk, held) == ["1"]


async def test_text_the_ledger_cannot_hold_is_made_legible(desk):
    held = await desk.start()
    body = encode([envelope(held, 1, payload={"text": "a\x00b"})])
    await persist(desk.services, Intake(), [delivery(held, body=body)])
    assert await texts(desk, held) == ["a\ufffdb"]


async def test_a_payload_over_the_limit_is_cut_and_leaves_no_gap(desk, caplog):
    held = await desk.start()
    big = envelope(held, 1, payload={"text": "x" * 300_000})
    await persist(desk.services, Intake(), [delivery(held, big, envelope(held, 2))])
    assert await texts(desk, held) == [None, "2"]


async def test_an_older_generations_last_words_are_kept(desk):
    held = await desk.start()
    await desk.change(held.session_id, generation=3)
    await persist(desk.services, Intake(), [delivery(held, envelope(held, 1))])
    assert await texts(desk, held) == ["1"]


async def test_a_gap_is_reported(desk, capsys):
    held = await desk.start()
    with structlog.testing.capture_logs() as logs:
        await persist(
            desk.services, Intake(), [delivery(held, envelope(held, 1), envelope(held, 4))]
        )
    [gap] = [line for line in logs if line["event"] == "gap in events"]
    assert (gap["expected"], gap["came"]) == (2, 4)


async def test_nothing_is_dropped_while_the_ledger_is_away(desk, monkeypatch):
    held = await desk.start()

    def away():
        raise StoreUnavailable("away")

    monkeypatch.setattr(desk.services.store, "transaction", away)
    with pytest.raises(StoreUnavailable):
        await persist(desk.services, Intake(), [delivery(held, envelope(held, 1))])


def test_nul_in_a_request_becomes_legible():
    body = json.dumps({"a": "x\x00y", "b": "\\u0000"}).encode()
    assert json.loads(legible_json(body)) == {"a": "x\ufffdy", "b": "\\u0000"}
