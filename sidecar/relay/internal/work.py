"""/internal/preconditions, /items and /costs: what an agent asks before it takes work on."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.relay import costs, items
from sidecar.relay.auth import require_session, services_of
from sidecar.relay.fence import check
from sidecar.relay.internal.exchange import answer, read
from sidecar.relay.secret_names import sort_out
from sidecar.wire.sessions import ItemRequest, PreconditionsRequest


async def preconditions(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, PreconditionsRequest)
    services = services_of(request)
    async with services.store.transaction() as tx:
        check(await tx.sessions.get(claims.session_id), claims)
    return answer(sort_out(services.settings.secrets_dir, body.secrets))


async def claim_item(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, ItemRequest)
    return answer(await items.claim_item(services_of(request), claims, body))


async def release_item(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, ItemRequest)
    return answer(await items.release_item(services_of(request), claims, body))


async def cost(request: Request) -> Response:
    claims = require_session(request)
    scope = request.query_params.get("scope", "session")
    return answer(await costs.costs(services_of(request), claims, scope))


routes = [
    Route("/internal/preconditions", preconditions, methods=["POST"]),
    Route("/internal/items/claim", claim_item, methods=["POST"]),
    Route("/internal/items/release", release_item, methods=["POST"]),
    Route("/internal/costs", cost, methods=["GET"]),
]
