"""A session's view of those it hired: the list under its own id, events and cancel under theirs."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.domain.ids import SessionId
from sidecar.relay import cancelling
from sidecar.relay import children as family
from sidecar.relay.auth import require_session, services_of
from sidecar.relay.internal.exchange import answer, integer, read
from sidecar.wire.sessions import CancelRequest

DEFAULT_LIMIT = 200


async def children(request: Request) -> Response:
    claims = require_session(request)
    status = request.query_params.get("status") or None
    return answer(await family.children(services_of(request), claims, status))


async def output(request: Request) -> Response:
    claims = require_session(request)
    types = [each for each in request.query_params.get("types", "").split(",") if each]
    return answer(
        await family.output(
            services_of(request),
            claims,
            SessionId(request.path_params["child"]),
            after=integer(request, "after_seq", 0),
            limit=integer(request, "limit", DEFAULT_LIMIT),
            types=types,
        )
    )


async def cancel(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, CancelRequest)
    child = SessionId(request.path_params["child"])
    services = services_of(request)
    return answer(await cancelling.cancel_child(services, claims, child, body.reason))


routes = [
    Route("/internal/sessions/{id}/children", children, methods=["GET"]),
    Route("/internal/sessions/{child}/events", output, methods=["GET"]),
    Route("/internal/sessions/{child}/cancel", cancel, methods=["POST"]),
]
