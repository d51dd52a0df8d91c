"""/internal/sessions/{id}/wakes and /messages: what makes turns, and where each message stands."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.domain.ids import WakeId
from sidecar.relay import messaging, receipts
from sidecar.relay.auth import require_session, services_of
from sidecar.relay.internal.exchange import answer, idempotency_key, read
from sidecar.wire.wakes import MessageRequest, ReceiptReport


async def unread(request: Request) -> Response:
    claims = require_session(request)
    return answer(await receipts.unread(services_of(request), claims))


async def report(request: Request) -> Response:
    claims = require_session(request, allow_expired=True)
    body = await read(request, ReceiptReport)
    return answer(await receipts.report(services_of(request), claims, body))


async def send(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, MessageRequest)
    services, key = services_of(request), idempotency_key(request)
    return answer(await messaging.send(services, claims, body, key), 201)


async def status(request: Request) -> Response:
    claims = require_session(request)
    wake_id = WakeId(request.path_params["wake_id"])
    return answer(await messaging.status(services_of(request), claims, wake_id))


routes = [
    Route("/internal/sessions/{id}/wakes", unread, methods=["GET"]),
    Route("/internal/sessions/{id}/wakes/receipts", report, methods=["POST"]),
    Route("/internal/sessions/{id}/messages", send, methods=["POST"]),
    Route("/internal/sessions/{id}/messages/{wake_id}", status, methods=["GET"]),
]
