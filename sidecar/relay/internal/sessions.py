"""/internal/sessions: claim, lease, end, spawn, and what a session says about itself."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.relay import attention, claiming, ending, leasing, spawning
from sidecar.relay.auth import require_activation, require_session, services_of
from sidecar.relay.internal.exchange import answer, idempotency_key, read
from sidecar.wire.claim import ClaimRequest, EndRequest, ReleaseRequest, RenewRequest
from sidecar.wire.sessions import InputRequest, QuietRequest, SpawnRequest, StatusRequest


async def claim(request: Request) -> Response:
    proof = await require_activation(request)
    body = await read(request, ClaimRequest)
    proof.require(body.nonce, "session")
    return answer(await claiming.claim(services_of(request), body))


async def renew(request: Request) -> Response:
    claims = require_session(request, allow_expired=True)
    body = await read(request, RenewRequest)
    return answer(await leasing.renew(services_of(request), claims, body))


async def release(request: Request) -> Response:
    claims = require_session(request, allow_expired=True)
    body = await read(request, ReleaseRequest)
    return answer(await leasing.release(services_of(request), claims, body))


async def end(request: Request) -> Response:
    claims = require_session(request, allow_expired=True)
    body = await read(request, EndRequest)
    return answer(await ending.end(services_of(request), claims, body))


async def spawn(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, SpawnRequest)
    services = services_of(request)
    return answer(await spawning.spawn(services, claims, body, idempotency_key(request)), 201)


async def quiet(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, QuietRequest)
    return answer(await attention.expect_quiet(services_of(request), claims, body))


async def status(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, StatusRequest)
    return answer(await attention.emit_status(services_of(request), claims, body))


async def ask(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, InputRequest)
    services, key = services_of(request), idempotency_key(request)
    return answer(await attention.request_input(services, claims, body, key), 201)


routes = [
    Route("/internal/sessions/claim", claim, methods=["POST"]),
    Route("/internal/sessions", spawn, methods=["POST"]),
    Route("/internal/sessions/{id}/lease", renew, methods=["PUT"]),
    Route("/internal/sessions/{id}/lease/release", release, methods=["POST"]),
    Route("/internal/sessions/{id}/end", end, methods=["POST"]),
    Route("/internal/sessions/{id}/quiet", quiet, methods=["POST"]),
    Route("/internal/sessions/{id}/status", status, methods=["POST"]),
    Route("/internal/sessions/{id}/requests", ask, methods=["POST"]),
]
