"""The thin ACP client against agents that behave, and agents that do not."""

import asyncio
import json

import pytest

from sidecar.domain.event import EventType
from sidecar.pod.acp import profile
from sidecar.pod.acp.client import AcpClient
from sidecar.pod.acp.errors import CallRefused, RuntimeExited, RuntimeSilent
from sidecar.pod.acp.lines import Oversize, lines
from sidecar.pod.acp.updates import event_of
from sidecar.pod.acp.usage import summed, usage_of


class Pipe:
    """An agent's two ends: what the client writes, and a reader that the test feeds."""

    def __init__(self):
        self.reader = asyncio.StreamReader()
        self.written = []
        self.updates, self.troubles = [], []
        self.client = AcpClient(self.reader, self, on_update=self._update, on_trouble=self._trouble)

    def write(self, body):
        self.written.append(json.loads(body))

    async def drain(self):
        return None

    async def _update(self, params):
        self.updates.append(params)

    async def _trouble(self, kind, sentence):
        self.troubles.append(kind)

    def says(self, *messages):
        for message in messages:
            self.reader.feed_data(json.dumps(message).encode() + b"\n")


async def test_an_answer_comes_after_the_updates_sent_before_it():
    pipe = Pipe()
    pipe.says(
        {"method": "session/update", "params": {"n": 1}}, {"id": 1, "result": {"stopReason": "x"}}
    )
    running = asyncio.ensure_future(pipe.client.run())
    assert await pipe.client.call("session/prompt", {}, 5) == {"stopReason": "x"}
    assert pipe.updates == [{"n": 1}]
    pipe.reader.feed_eof()
    await running


async def test_an_error_answer_is_raised_with_its_words():
    pipe = Pipe()
    pipe.says({"id": 1, "error": {"code": -32000, "message": "no credit", "data": {"line": 7}}})
    running = asyncio.ensure_future(pipe.client.run())
    with pytest.raises(CallRefused, match="no credit"):
        await pipe.client.call("session/prompt", {}, 5)
    pipe.reader.feed_eof()
    await running


async def test_a_call_fails_when_the_runtime_closes_its_output():
    pipe = Pipe()
    running = asyncio.ensure_future(pipe.client.run())
    call = asyncio.ensure_future(pipe.client.call("session/prompt", {}, 5))
    await asyncio.sleep(0)
    pipe.reader.feed_eof()
    with pytest.raises(RuntimeExited):
        await call
    await running


async def test_a_call_that_nobody_answers_ends_in_time():
    with pytest.raises(RuntimeSilent):
        await Pipe().client.call("initialize", {}, 0.01)


async def test_a_permission_is_chosen_by_its_kind():
    pipe = Pipe()
    options = [{"optionId": "n", "kind": "reject_once"}, {"optionId": "y-77", "kind": "allow_once"}]
    pipe.says({"id": 9, "method": "session/request_permission", "params": {"options": options}})
    pipe.reader.feed_eof()
    await pipe.client.run()
    assert pipe.written[0]["result"]["outcome"] == {"outcome": "selected", "optionId": "y-77"}


@pytest.mark.parametrize(
    "line", [b"hello\n", b"[1]\n", b"{\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n"]
)
async def test_what_is_no_message_is_a_complaint_and_reading_goes_on(line):
    pipe = Pipe()
    pipe.reader.feed_data(line)
    pipe.says({"method": "session/update", "params": {"n": 2}})
    pipe.reader.feed_eof()
    await pipe.client.run()
    assert pipe.troubles == ["garbage"]
    assert pipe.updates == [{"n": 2}]


@pytest.mark.parametrize(
    "message",
    [
        {"id": [], "result": 1},
        {"method": 5},
        {"method": "session/update", "params": 3},
        {"id": 1, "result": "x"},
    ],
)
async def test_an_odd_message_does_no_harm(message):
    pipe = Pipe()
    pipe.says(message)
    pipe.reader.feed_eof()
    await pipe.client.run()


async def test_an_overlong_line_is_dropped_once_and_the_next_one_read():
    stream = asyncio.StreamReader()
    stream.feed_data(b"x" * 200_000 + b"\nnext\n")
    stream.feed_eof()
    assert [each async for each in lines(stream, limit=1000)] == [Oversize, b"next"]


def test_updates_become_events():
    text = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "hi"}}
    assert event_of(text) == (EventType.AGENT_TEXT, {"text": "hi"})
    done = {
        "sessionUpdate": "tool_call_update",
        "toolCallId": "1",
        "status": "completed",
        "rawOutput": "ok",
    }
    assert event_of(done) == (
        EventType.AGENT_TOOL_RESULT,
        {"tool_call_id": "1", "status": "completed", "output": "ok"},
    )
    assert event_of({"sessionUpdate": "current_mode_update"}) is None


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"sessionUpdate": []},
        {"sessionUpdate": "tool_call", "status": {}},
        {"sessionUpdate": "agent_message_chunk", "content": 3},
    ],
)
def test_an_odd_update_is_never_an_exception(odd):
    event_of(odd)


def test_usage_is_summed_by_model_and_lies_are_ignored():
    one = usage_of({"usage": {"inputTokens": 10, "outputTokens": -5}}, "m")
    two = usage_of({"usage": {"inputTokens": 1, "outputTokens": 2}}, "m")
    assert summed(one, two)[0] | {} == {
        "model": "m", "input_tokens": 11, "output_tokens": 2, "cached_tokens": 0, "usd": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("name", profile.names())
def test_every_profile_is_well_formed(name):
    assert profile.load(name).argv


def test_a_placeholder_is_filled_and_other_braces_stay():
    places = profile.Places(
        home="/h", state_dir="/s", workspace_dir="/w", sidecar_url="u", virtual_key="k"
    )
    assert profile.filled('{"a": "{home}", "b": {}}', places) == '{"a": "/h", "b": {}}'
