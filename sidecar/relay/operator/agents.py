"""/api/agents: who may be started, and agents as code."""

from starlette.requests import Request
from starlette.responses import Response

from sidecar.relay.auth import services_of
from sidecar.relay.internal.exchange import answer, read
from sidecar.relay.operator import applying
from sidecar.relay.operator.endpoint import Endpoint
from sidecar.relay.operator.views import rows
from sidecar.wire.operator import AgentFiles, AgentModel, AgentsAnswer, PlanAnswer


async def find(request: Request, _: str) -> Response:
    async with services_of(request).store.transaction() as tx:
        found = sorted(await tx.agents.list_all(), key=lambda agent: agent.slug)
    return answer(AgentsAnswer(agents=rows(AgentModel, found)))


async def plan(request: Request, _: str) -> Response:
    return answer(await applying.plan(services_of(request), await read(request, AgentFiles)))


async def apply(request: Request, operator: str) -> Response:
    body = await read(request, AgentFiles)
    return answer(await applying.apply(services_of(request), body, operator))


endpoints = [
    Endpoint(
        method="GET",
        path="/api/agents",
        says="The agents that the relay knows.",
        handle=find,
        answers=AgentsAnswer,
    ),
    Endpoint(
        method="POST",
        path="/api/agents/plan",
        says="What applying these files would change; changes nothing.",
        handle=plan,
        takes=AgentFiles,
        answers=PlanAnswer,
    ),
    Endpoint(
        method="POST",
        path="/api/agents/apply",
        says="Write the agents and give the grants that they ask for, in the operator's name.",
        handle=apply,
        takes=AgentFiles,
        answers=PlanAnswer,
    ),
]
