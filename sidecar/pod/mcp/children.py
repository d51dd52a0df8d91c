"""Tools of those who hire: find, spawn, brief, read and cancel children."""

from typing import Any, Literal

from pydantic import Field

from sidecar.pod.mcp.tool import Arguments, Desk, Repeatable, Tool
from sidecar.wire.model import BranchName, RuntimeName
from sidecar.wire.sessions import CancelRequest, SpawnRequest, SpecModel
from sidecar.wire.wakes import MAX_TEXT, MessageRequest

Id = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")


class Spawn(Repeatable):
    child_agent_id: str = Field(description="`id` of an agent from list_spawnable_agents.")
    brief: str | None = Field(
        default=None, max_length=MAX_TEXT, description="Its first message: spawn and brief in one."
    )
    spec: SpecModel | None = Field(
        default=None, description="A session spec that is committed and pushed."
    )
    branch: BranchName | None = None
    model: str | None = None
    runtime: RuntimeName | None = None
    budget: dict[str, float] | None = None
    item: str | None = Field(default=None, max_length=128)


class Inject(Repeatable):
    child_session_id: str = Id
    text: str = Field(min_length=1, max_length=MAX_TEXT)
    delivery: Literal["turn_end"] = "turn_end"


class ReadOutput(Arguments):
    child_session_id: str = Id
    after_seq: int = Field(default=0, ge=0)
    limit: int = Field(default=200, ge=1, le=1000)
    types: list[str] | None = Field(default=None, max_length=50)


class ListChildren(Arguments):
    status: str | None = None


class Cancel(Repeatable):
    child_session_id: str = Id
    reason: str = Field(min_length=1, max_length=2000)


async def _spawnable(desk: Desk, _: Arguments) -> Any:
    return [each.model_dump() for each in desk.spawnable()]


async def _spawn(desk: Desk, call: Spawn) -> Any:
    request = SpawnRequest.model_validate(call.model_dump(exclude={"idempotency_key"}))
    return await desk.post("/internal/sessions", request, timeout=30)


async def _inject(desk: Desk, call: Inject) -> Any:
    request = MessageRequest(to=call.child_session_id, text=call.text)
    return await desk.post(f"{desk.own}/messages", request)


async def _read(desk: Desk, call: ReadOutput) -> Any:
    path = f"/internal/sessions/{call.child_session_id}/events"
    types = ",".join(call.types) if call.types else None
    return await desk.get(path, {"after_seq": call.after_seq, "limit": call.limit, "types": types})


async def _children(desk: Desk, call: ListChildren) -> Any:
    return (await desk.get(f"{desk.own}/children", {"status": call.status}))["children"]


async def _cancel(desk: Desk, call: Cancel) -> Any:
    path = f"/internal/sessions/{call.child_session_id}/cancel"
    return await desk.post(path, CancelRequest(reason=call.reason))


TOOLS = (
    Tool(
        name="list_spawnable_agents",
        description="The agents you may spawn, with what each is good for.",
        act=_spawnable,
    ),
    Tool(
        name="spawn_session",
        description="Hire an agent for one piece of work. It works in its own session; its messages and "
        "its end reach you as user messages. Commit and push a spec first when it has acceptance checks.",
        arguments=Spawn,
        act=_spawn,
    ),
    Tool(
        name="inject_message",
        description="Send a message to a child you spawned; it reads it at the end of its current turn.",
        arguments=Inject,
        act=_inject,
    ),
    Tool(
        name="read_child_output",
        description="A child's events after a sequence number: what it said, called and got back.",
        arguments=ReadOutput,
        act=_read,
    ),
    Tool(
        name="list_children",
        description="The sessions you spawned and where they stand.",
        arguments=ListChildren,
        act=_children,
    ),
    Tool(
        name="cancel_session",
        description="Stop a child you spawned, and all that it spawned.",
        arguments=Cancel,
        act=_cancel,
    ),
)
