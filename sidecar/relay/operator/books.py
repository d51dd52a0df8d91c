"""/api/costs and /api/audit: what was spent, and what was decided."""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response

from sidecar.domain.errors import InvalidArguments
from sidecar.domain.session import Session
from sidecar.relay.auth import services_of
from sidecar.relay.internal.exchange import answer
from sidecar.relay.operator.asking import MOST_ROWS, limit
from sidecar.relay.operator.endpoint import Endpoint, Query, number
from sidecar.relay.operator.views import rows
from sidecar.relay.usage import added, dollars, tokens
from sidecar.wire.operator import AgentCost, AuditAnswer, AuditModel, CostsAnswer

MOST_COUNTED = 10_000


async def costs(request: Request, _: str) -> Response:
    day = _day(request.query_params.get("day"))
    async with services_of(request).store.transaction() as tx:
        found = await tx.sessions.find(limit=MOST_COUNTED)
    if day is not None:
        found = [session for session in found if session.created_at.date() == day]
    return answer(_costs(day, found))


def _day(given: str | None) -> date | None:
    try:
        return datetime.strptime(given, "%Y-%m-%d").date() if given is not None else None  # noqa: DTZ007 - a date
    except ValueError as error:
        raise InvalidArguments(f"day: expected YYYY-MM-DD, not {str(given)[:40]!r}") from error


def _costs(day: date | None, found: Sequence[Session]) -> CostsAnswer:
    usage = added(*(session.usage for session in found))
    ordered = sorted(found, key=lambda session: session.agent)
    return CostsAnswer(
        day=day.isoformat() if day else None,
        usd=dollars(usage),
        tokens={each.model: each.input_tokens + each.output_tokens for each in usage},
        agents=[
            _of_agent(agent, list(theirs))
            for agent, theirs in groupby(ordered, key=lambda session: session.agent)
        ],
    )


def _of_agent(agent: str, sessions: Sequence[Session]) -> AgentCost:
    usage = added(*(session.usage for session in sessions))
    return AgentCost(
        agent=agent,
        sessions=len(sessions),
        turns=sum(session.turns for session in sessions),
        usd=dollars(usage),
        tokens=tokens(usage),
    )


async def audit(request: Request, _: str) -> Response:
    async with services_of(request).store.transaction() as tx:
        found = await tx.audit.latest(limit(request, 200, MOST_ROWS))
    return answer(AuditAnswer(audit=rows(AuditModel, found)))


DAY = Query(
    name="day",
    says="Only sessions created on this day (UTC).",
    schema={"type": "string", "format": "date"},
)

endpoints = [
    Endpoint(
        method="GET",
        path="/api/costs",
        says="What was spent, by model and by agent.",
        handle=costs,
        answers=CostsAnswer,
        query=(DAY,),
    ),
    Endpoint(
        method="GET",
        path="/api/audit",
        says="The newest decisions, with who, what, whether and why.",
        handle=audit,
        answers=AuditAnswer,
        query=(number("limit", "How many at most; 200 unless given.", MOST_ROWS, 1),),
    ),
]
