"""/internal/previews for sessions, /internal/operations for the flow runs that work for them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.domain.ids import OperationId, PreviewId
from sidecar.relay.auth import (
    require_activation,
    require_operation,
    require_session,
    services_of,
)
from sidecar.relay.internal.exchange import answer, idempotency_key, integer, read
from sidecar.relay.previews import (
    deploying,
    operating,
    reading,
    releasing,
    rolling_back,
    sweeping,
    validating,
    verifying,
)
from sidecar.wire.preview_sweeps import ServedRequest, SweepRequest
from sidecar.wire.previews import (
    DeployRequest,
    OperationClaim,
    OperationProgress,
    ValidateRequest,
    VerifyRequest,
)

DEFAULT_TAIL = 100


async def validate(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, ValidateRequest)
    return answer(await validating.validate(services_of(request), claims, body))


async def deploy(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, DeployRequest)
    key = idempotency_key(request)
    return answer(await deploying.deploy(services_of(request), claims, body, key))


async def status(request: Request) -> Response:
    claims = require_session(request)
    return answer(await reading.status(services_of(request), claims, _preview(request)))


async def logs(request: Request) -> Response:
    claims = require_session(request)
    source = request.query_params.get("source", "app")
    tail = integer(request, "tail", DEFAULT_TAIL)
    return answer(await reading.logs(services_of(request), claims, _preview(request), source, tail))


async def events(request: Request) -> Response:
    claims = require_session(request)
    since = integer(request, "since", 0)
    return answer(await reading.events(services_of(request), claims, _preview(request), since))


async def verify(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, VerifyRequest)
    key, preview = idempotency_key(request), _preview(request)
    return answer(await verifying.verify(services_of(request), claims, preview, body, key))


async def release(request: Request) -> Response:
    claims = require_session(request)
    key = idempotency_key(request)
    services = services_of(request)
    return answer(await releasing.release_own(services, claims, _preview(request), key))


async def roll_back(request: Request) -> Response:
    claims = require_session(request)
    key, services = idempotency_key(request), services_of(request)
    return answer(await rolling_back.roll_back_own(services, claims, _preview(request), key))


async def claim(request: Request) -> Response:
    proof = await require_activation(request)
    body = await read(request, OperationClaim)
    proof.require(body.nonce, "operation")
    return answer(await operating.claim(services_of(request), _operation(request), body))


async def progress(request: Request) -> Response:
    """An expired token of the current generation is accepted, as at a session's renewal."""
    claims = require_operation(request, allow_expired=True)
    body = await read(request, OperationProgress)
    return answer(await operating.progress(services_of(request), claims, body))


async def served(request: Request) -> Response:
    proof = await require_activation(request)
    body = await read(request, ServedRequest)
    proof.require(body.nonce, "operation")
    return answer(await sweeping.served(services_of(request)))


async def sweep(request: Request) -> Response:
    proof = await require_activation(request)
    body = await read(request, SweepRequest)
    proof.require(body.nonce, "operation")
    return answer(await sweeping.settle(services_of(request), body))


def _preview(request: Request) -> PreviewId:
    return PreviewId(request.path_params["id"])


def _operation(request: Request) -> OperationId:
    return OperationId(request.path_params["id"])


routes = [
    Route("/internal/previews/validate", validate, methods=["POST"]),
    Route("/internal/previews", deploy, methods=["POST"]),
    Route("/internal/previews/served", served, methods=["POST"]),
    Route("/internal/previews/sweep", sweep, methods=["POST"]),
    Route("/internal/previews/{id}", status, methods=["GET"]),
    Route("/internal/previews/{id}/logs", logs, methods=["GET"]),
    Route("/internal/previews/{id}/events", events, methods=["GET"]),
    Route("/internal/previews/{id}/verify", verify, methods=["POST"]),
    Route("/internal/previews/{id}/release", release, methods=["POST"]),
    Route("/internal/previews/{id}/rollback", roll_back, methods=["POST"]),
    Route("/internal/operations/{id}/claim", claim, methods=["POST"]),
    Route("/internal/operations/{id}/progress", progress, methods=["POST"]),
]
