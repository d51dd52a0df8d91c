"""/healthz says that the process lives; /readyz asks what it needs and says what it waits for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sidecar.domain.errors import X1Error
from sidecar.relay.auth import services_of

PING_TIMEOUT_SECONDS: Final = 3.0


async def healthz(_: Request) -> Response:
    return JSONResponse({"status": "alive"})


async def readyz(request: Request) -> Response:
    services = services_of(request)
    waits = await _waits_for(
        {
            "store": services.store.ping,
            "bus": services.bus.ping,
            "prefect": services.prefect.ping,
        }
    )
    if not request.app.state.preparation.is_set():
        waits.setdefault("migrations", "the ledger's tables are not up to date yet")
    return JSONResponse({"ready": not waits, "waits_for": waits}, status_code=503 if waits else 200)


async def _waits_for(pings: dict[str, Callable[[], Awaitable[None]]]) -> dict[str, str]:
    reasons = await asyncio.gather(*(_reason(ping) for ping in pings.values()))
    return {name: reason for name, reason in zip(pings, reasons, strict=True) if reason is not None}


async def _reason(ping: Callable[[], Awaitable[None]]) -> str | None:
    try:
        async with asyncio.timeout(PING_TIMEOUT_SECONDS):
            await ping()
    except TimeoutError:
        return f"no answer within {PING_TIMEOUT_SECONDS:g} s"
    except X1Error as error:
        return str(error)
    return None


routes = [
    Route("/healthz", healthz, methods=["GET"]),
    Route("/readyz", readyz, methods=["GET"]),
]
