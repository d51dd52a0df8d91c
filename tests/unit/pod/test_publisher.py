"""Events on their way to the bus."""

import asyncio

from sidecar.domain.errors import BusUnavailable
from sidecar.domain.event import MAX_PAYLOAD_BYTES, EventType
from sidecar.pod.publisher import BUFFER_BYTES, Publisher
from sidecar.redaction import Redactor
from sidecar.wire.envelope import decode

SECONDS = 30
"""For whatever is waited for; a full buffer takes seconds of a busy machine."""


class Sink:
    def __init__(self):
        self.batches = []
        self.is_away = False
        self.tries = []

    async def publish(self, body, message_id):
        self.tries.append(message_id)
        if self.is_away:
            raise BusUnavailable
        self.batches.append(decode(body))

    @property
    def events(self):
        return [each for batch in self.batches for each in batch]


async def published(sink, records, redactor=None):
    publisher = Publisher(
        sink.publish, session_id="s", generation=1, redactor=redactor or Redactor()
    )
    running = asyncio.ensure_future(publisher.run())
    for kind, payload in records:
        await publisher.record(kind, payload)
    assert await publisher.flush(SECONDS)
    running.cancel()
    return sink.events


async def test_chunks_of_text_become_one_event_and_keep_their_place():
    text = [(EventType.AGENT_TEXT, {"text": letter}) for letter in "hello"]
    call = [(EventType.AGENT_TOOL_CALL, {"title": "ls"})]
    events = await published(Sink(), [*text, *call, *text])
    assert [e.payload.get("text") for e in events] == ["hello", None, "hello"]
    assert [e.source_sequence for e in events] == [1, 2, 3]


async def test_what_cannot_be_stored_is_made_legible():
    payload = {"text": "a\0b\ud800", "deep": [[[[]]]]}
    for _ in range(200):
        payload["deep"] = [payload["deep"]]
    (event,) = await published(Sink(), [(EventType.AGENT_ERROR, payload)])
    assert event.payload["text"] == "a\ufffdb?"


async def test_an_overlong_payload_is_cut_and_says_so():
    payload = {"output": "x" * MAX_PAYLOAD_BYTES, "title": "short"}
    (event,) = await published(Sink(), [(EventType.AGENT_TOOL_RESULT, payload)])
    assert event.payload["truncated"] is True
    assert event.payload["title"] == "short"
    assert len(event.model_dump_json()) < MAX_PAYLOAD_BYTES


async def test_known_secrets_are_masked_even_across_chunks():
    redactor = Redactor()
    redactor.learn("very-secret-canary")
    records = [(EventType.AGENT_TEXT, {"text": part}) for part in ("my very-sec", "ret-canary!")]
    (event,) = await published(Sink(), records, redactor)
    assert event.payload["text"] == "my ***!"


async def test_a_batch_is_repeated_under_one_message_id_until_it_is_stored():
    sink = Sink()
    sink.is_away = True
    publisher = Publisher(sink.publish, session_id="s", generation=1, redactor=Redactor())
    running = asyncio.ensure_future(publisher.run())
    await publisher.record(EventType.AGENT_STATUS, {"n": 1})
    async with asyncio.timeout(SECONDS):
        while len(sink.tries) < 2:
            await asyncio.sleep(0.01)
    sink.is_away = False
    assert await publisher.flush(SECONDS)
    running.cancel()
    assert len(set(sink.tries)) == 1
    assert [e.payload for e in sink.events] == [{"n": 1}]


async def test_a_full_buffer_makes_the_recorder_wait_until_there_is_room():
    sink = Sink()
    publisher = Publisher(sink.publish, session_id="s", generation=1, redactor=Redactor())
    big = {"text": "x" * (BUFFER_BYTES + 1)}
    await publisher.record(EventType.AGENT_STATUS, big)
    waiting = asyncio.ensure_future(publisher.record(EventType.AGENT_STATUS, {"n": 2}))
    await asyncio.sleep(0)
    assert not waiting.done()
    running = asyncio.ensure_future(publisher.run())
    await asyncio.wait_for(waiting, SECONDS)
    assert await publisher.flush(SECONDS)
    running.cancel()
