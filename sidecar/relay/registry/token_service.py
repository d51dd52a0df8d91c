"""GET /registry/token, as Docker's clients ask: https://distribution.github.io/distribution/spec/auth/token/

GET alone: containerd and BuildKit try OAuth's POST first, and take 405 for an invitation to this one.
"""

import base64
import binascii
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sidecar.domain.errors import Unauthenticated, Unknown
from sidecar.relay.auth import services_of
from sidecar.relay.registry.scopes import parse_scopes
from sidecar.relay.registry.tokens import SERVICE

USER: Final = "x1"


async def token(request: Request) -> Response:
    """Answers for the part of the scopes that the login covers; the registry refuses the rest by itself."""
    tokens = services_of(request).registry_tokens
    if tokens is None:
        raise Unknown("this relay serves no registry")
    if request.query_params.get("service") != SERVICE:
        raise Unauthenticated(f"this relay signs for the service {SERVICE} alone")
    scopes = parse_scopes(request.query_params.getlist("scope"))
    given = tokens.exchange(_password(request), scopes)
    secret = given.secret.get_secret_value()
    return JSONResponse(
        {
            "token": secret,
            "access_token": secret,
            "expires_in": int(given.lifetime.total_seconds()),
            "issued_at": given.issued_at.isoformat(),
        },
        headers={"cache-control": "no-store"},
    )


def _password(request: Request) -> str:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user, password = "", ""
    if scheme.lower() != "basic" or user != USER or not password:
        raise Unauthenticated(f"expected Basic authentication: user {USER}, password a login")
    return password


routes = [Route("/registry/token", token, methods=["GET"])]
