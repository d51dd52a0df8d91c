"""Tools of everybody: tell the caller, ask a human, say what you do, end."""

from typing import Any

from pydantic import Field

from sidecar.pod.mcp.tool import Arguments, Desk, Repeatable, Tool
from sidecar.wire.sessions import InputRequest, QuietRequest, StatusRequest
from sidecar.wire.wakes import MAX_TEXT, MessageRequest


class Report(Repeatable):
    summary: str = Field(min_length=1, max_length=4000, description="One line: what stands now.")
    body: str | None = Field(default=None, max_length=MAX_TEXT - 8000)
    needs_response: bool = False


class MessageId(Arguments):
    wake_id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")


class Quiet(Arguments):
    seconds: int = Field(ge=1, le=3600)
    reason: str | None = Field(default=None, max_length=500)


class Status(Arguments):
    status: str = Field(min_length=1, max_length=500)
    detail: str | None = Field(default=None, max_length=8000)


class Ask(Repeatable):
    question: str = Field(min_length=1, max_length=8000)
    options: list[str] = Field(default_factory=list, max_length=20)


class End(Arguments):
    summary: str = Field(min_length=1, max_length=16000)
    outcome: str | None = Field(default=None, max_length=2000)


async def _report(desk: Desk, call: Report) -> Any:
    text = f"{call.summary}\n\n{call.body}" if call.body else call.summary
    request = MessageRequest(
        to="caller", text=text, summary=call.summary, needs_response=call.needs_response
    )
    return await desk.post(f"{desk.own}/messages", request)


async def _message_status(desk: Desk, call: MessageId) -> Any:
    return await desk.get(f"{desk.own}/messages/{call.wake_id}")


async def _quiet(desk: Desk, call: Quiet) -> Any:
    request = QuietRequest(seconds=call.seconds, reason=call.reason)
    return await desk.post(f"{desk.own}/quiet", request)


async def _status(desk: Desk, call: Status) -> Any:
    await desk.post(f"{desk.own}/status", StatusRequest(status=call.status, detail=call.detail))
    return {"ok": True}


async def _ask(desk: Desk, call: Ask) -> Any:
    request = InputRequest(question=call.question, options=call.options)
    return await desk.post(f"{desk.own}/requests", request)


async def _end(desk: Desk, call: End) -> Any:
    desk.end_session(call.summary, call.outcome)
    return {"ok": True, "note": "The session ends when this turn does."}


_REPORT = (
    "Tell whoever gave you this work how it stands: progress, a question, or that it is done. They are "
    "woken with it; an answer reaches you as a user message."
)

TOOLS = (
    Tool(name="message_caller", description=_REPORT, arguments=Report, act=_report),
    Tool(name="report_to_parent", description=_REPORT, arguments=Report, act=_report),
    Tool(
        name="message_status",
        description="Where a message you sent stands: accepted, delivered, read, done or undeliverable.",
        arguments=MessageId,
        act=_message_status,
    ),
    Tool(
        name="expect_quiet_for",
        description="Say that you will be silent for a while (a long build), so that nobody worries.",
        arguments=Quiet,
        act=_quiet,
    ),
    Tool(
        name="emit_status",
        description="Say in a few words what you do now; people see it on the session's page.",
        arguments=Status,
        act=_status,
    ),
    Tool(
        name="request_input",
        description="Ask a human. End your turn afterwards: the answer reaches you as a message.",
        arguments=Ask,
        act=_ask,
    ),
    Tool(
        name="end_session",
        description="Say that your work is finished. The session ends when this turn does.",
        arguments=End,
        act=_end,
    ),
)
