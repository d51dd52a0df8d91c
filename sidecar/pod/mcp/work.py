"""Tools about work itself: are its secrets there, is it taken, what did it cost."""

from typing import Any, Literal

from pydantic import Field

from sidecar.pod.mcp.tool import Arguments, Desk, Tool
from sidecar.wire.sessions import ItemRequest, PreconditionsRequest


class Preconditions(Arguments):
    secrets: list[str] = Field(max_length=100)


class ClaimItem(Arguments):
    item: str = Field(min_length=1, max_length=128)
    ttl_minutes: float = Field(default=240, gt=0, le=10080)


class ReleaseItem(Arguments):
    item: str = Field(min_length=1, max_length=128)


class Cost(Arguments):
    scope: Literal["session", "tree", "agent", "day"] = "session"


async def _preconditions(desk: Desk, call: Preconditions) -> Any:
    return await desk.post("/internal/preconditions", PreconditionsRequest(secrets=call.secrets))


async def _claim(desk: Desk, call: ClaimItem) -> Any:
    request = ItemRequest(item=call.item, ttl_minutes=call.ttl_minutes)
    return await desk.post("/internal/items/claim", request)


async def _release(desk: Desk, call: ReleaseItem) -> Any:
    return await desk.post("/internal/items/release", ItemRequest(item=call.item))


async def _cost(desk: Desk, call: Cost) -> Any:
    return await desk.get("/internal/costs", {"scope": call.scope})


TOOLS = (
    Tool(
        name="check_preconditions",
        description="Which of these secrets are configured. Names only; a missing one means: flag the work "
        "and skip it, never work around it.",
        arguments=Preconditions,
        act=_preconditions,
    ),
    Tool(
        name="claim_item",
        description="Reserve a roadmap item so that nobody else takes it; says who holds it if not you.",
        arguments=ClaimItem,
        act=_claim,
    ),
    Tool(
        name="release_item",
        description="Give a claimed item back.",
        arguments=ReleaseItem,
        act=_release,
    ),
    Tool(
        name="get_cost",
        description="What was spent and what remains: this session, its tree, this agent, or today.",
        arguments=Cost,
        act=_cost,
    ),
)
