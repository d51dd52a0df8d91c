"""/.well-known/jwks.json: the keys that prove this relay's tokens, for services that check one without asking."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sidecar.relay.auth import services_of


async def key_set(request: Request) -> Response:
    return JSONResponse(services_of(request).tokens.key_set())


routes = [Route("/.well-known/jwks.json", key_set, methods=["GET"])]
