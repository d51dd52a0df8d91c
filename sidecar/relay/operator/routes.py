"""Every route of the operator's API, in one table; /metrics beside it, for whoever scrapes."""

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sidecar.relay import metrics
from sidecar.relay.operator import (
    agents,
    approvals,
    books,
    events,
    grants,
    previews,
    sessions,
    wakes,
)
from sidecar.relay.operator.endpoint import Endpoint, routes_of
from sidecar.relay.operator.openapi import document


class Document(BaseModel, extra="allow"):
    """An OpenAPI document."""

    openapi: str


async def openapi(_: Request, __: str) -> Response:
    return JSONResponse(document(endpoints))


endpoints: tuple[Endpoint, ...] = (
    *sessions.endpoints,
    *events.endpoints,
    *wakes.endpoints,
    *agents.endpoints,
    *previews.endpoints,
    *grants.endpoints,
    *approvals.endpoints,
    *books.endpoints,
    Endpoint(
        method="GET",
        path="/api/openapi.json",
        says="This document.",
        handle=openapi,
        answers=Document,
    ),
)

routes: list[Route] = [*routes_of(endpoints), *metrics.routes]
