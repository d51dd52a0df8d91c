"""/internal/sessions/{id}/state: what a session's next activation finds. Content is streamed, never held."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sidecar.relay import snapshots
from sidecar.relay.auth import require_session, services_of
from sidecar.relay.internal.exchange import answer, read
from sidecar.wire.state import KeepRequest


async def current(request: Request) -> Response:
    claims = require_session(request)
    return answer(await snapshots.current(services_of(request), claims))


async def keep(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, KeepRequest)
    return answer(await snapshots.keep(services_of(request), claims, body))


async def store(request: Request) -> Response:
    claims = require_session(request)
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isdecimal() and len(announced) < 19 else None  # noqa: PLR2004 - what 64 bits always hold
    try:
        async with aclosing(request.stream()) as body:
            return answer(await snapshots.store(services_of(request), claims, body, size), 201)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it


async def content(request: Request) -> Response:
    claims = require_session(request)
    chunks = snapshots.content(services_of(request), claims)
    first = await anext(chunks, b"")
    return StreamingResponse(_all(first, chunks), media_type="application/octet-stream")


async def _all(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


routes = [
    Route("/internal/sessions/{id}/state", current, methods=["GET"]),
    Route("/internal/sessions/{id}/state", keep, methods=["PUT"]),
    Route("/internal/sessions/{id}/state/content", store, methods=["PUT"]),
    Route("/internal/sessions/{id}/state/content", content, methods=["GET"]),
]
