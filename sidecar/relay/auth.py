"""Who is calling: a session, a flow that claims, a preview operation or an operator. Deny by default.

The four never stand in for one another: an internal token opens no operator route and the other way
round. Secrets are read from their files at each call, so that replacing a file is all a rotation takes.
"""

import hashlib
import hmac
from pathlib import Path
from typing import Final

from starlette.requests import Request

from sidecar.domain.errors import Forbidden, Unauthenticated
from sidecar.relay.activation_tokens import ActivationProof
from sidecar.relay.services import Services
from sidecar.relay.tokens import OperationClaims, SessionClaims

OPERATOR_COOKIE: Final = "x1_operator"
OPERATOR: Final = "operator"
"""The one name a shared operator token can prove."""


def services_of(request: Request) -> Services:
    return request.app.state.services


def require_session(request: Request, *, allow_expired: bool = False) -> SessionClaims:
    """The session whose token this is. A path that names a session (`{id}`) must name this one."""
    claims = services_of(request).tokens.verify_session(
        _bearer(request), allow_expired=allow_expired
    )
    named = request.path_params.get("id") if _names_session(request) else None
    if named is not None and named != claims.session_id:
        raise Forbidden("this token speaks for another session than the path names")
    return claims


async def require_activation(request: Request) -> ActivationProof:
    """What the activation token proves, which only flow containers hold. The claim's nonce is held to it."""
    return await services_of(request).activation_tokens.prove(_bearer(request))


def require_operation(request: Request, *, allow_expired: bool = False) -> OperationClaims:
    claims = services_of(request).tokens.verify_operation(
        _bearer(request), allow_expired=allow_expired
    )
    named = request.path_params.get("id")
    if named is not None and named != claims.operation_id:
        raise Forbidden("this token speaks for another operation than the path names")
    return claims


def require_operator(request: Request) -> str:
    """The operator's name, proven by the bearer token or by the cookie that signing in gave."""
    services = services_of(request)
    token = _read(services.settings.operator_token_file)
    if "authorization" in request.headers:
        if not _same(_bearer(request), token):
            raise Unauthenticated("this route takes the operator token")
        return OPERATOR
    cookie = request.cookies.get(OPERATOR_COOKIE)
    if not cookie:
        raise Unauthenticated("sign in, or send the operator token as a bearer token")
    return services.tokens.verify_operator(cookie, _digest(token))


def operator_cookie(services: Services, presented: str) -> str:
    """The cookie's value for somebody who presents the operator token. Raises Unauthenticated."""
    token = _read(services.settings.operator_token_file)
    if not _same(presented.strip(), token):
        raise Unauthenticated("that is not the operator token")
    return services.tokens.mint_operator(OPERATOR, _digest(token)).get_secret_value()


def _names_session(request: Request) -> bool:
    return request.url.path.startswith("/internal/sessions/")


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("expected the header `Authorization: Bearer <token>`")
    return token.strip()


def _read(path: Path) -> str:
    token = path.read_text().strip()
    if not token:
        raise Unauthenticated(f"{path.name} is empty: nobody can be let in by it")
    return token


def _same(presented: str, expected: str) -> bool:
    return hmac.compare_digest(presented.encode(), expected.encode())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:16]
