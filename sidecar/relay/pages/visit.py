"""One page seen, or one form sent, by somebody who has signed in.

Whoever has not is led to sign in; what goes wrong becomes a page that says so. Every form carries a token
that only our own pages, read with the visitor's cookie, can hold.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sidecar.domain.errors import Forbidden, InvalidArguments, Unauthenticated, X1Error
from sidecar.http_errors import invalid, status_of
from sidecar.relay.auth import OPERATOR_COOKIE, require_operator, services_of
from sidecar.relay.internal.exchange import bounded_body
from sidecar.relay.legible import legible
from sidecar.relay.pages.rendering import rendered
from sidecar.relay.services import Services

MOST_FIELDS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    request: Request
    operator: str
    fields: Mapping[str, str]
    """Of the form; empty for a page."""

    @property
    def services(self) -> Services:
        return services_of(self.request)

    def page(self, template: str, **context: Any) -> Response:
        base = {"operator": self.operator, "csrf": csrf(self.request)}
        here = {"here": self.request.url.path, "now": self.services.now()}
        return rendered(template, base | here | context)


Handler = Callable[[Visit], Awaitable[Response]]


def page(path: str, handle: Handler) -> Route:
    async def shown(request: Request) -> Response:
        try:
            return await handle(Visit(request=request, operator=_operator(request), fields={}))
        except Unauthenticated:
            return _to_sign_in(request)
        except X1Error as error:
            return sorry(error)

    return Route(path, shown, methods=["GET"])


def form(path: str, handle: Handler) -> Route:
    async def sent(request: Request) -> Response:
        try:
            operator, fields = _operator(request), await read_form(request)
            _require_token(request, fields)
            return await handle(Visit(request=request, operator=operator, fields=fields))
        except Unauthenticated:
            return RedirectResponse("/login", status_code=303)
        except ValidationError as error:
            return sorry(invalid(error))
        except X1Error as error:
            return sorry(error)

    return Route(path, sent, methods=["POST"])


def done(path: str) -> Response:
    """Seeing it again does not send the form again."""
    return RedirectResponse(path, status_code=303)


def sorry(error: X1Error) -> Response:
    status = status_of(error)
    words = {"status": status, "code": error.code, "message": str(error)}
    return rendered("error.html", words | {"operator": None}, status)


async def read_form(request: Request) -> dict[str, str]:
    """Raises InvalidArguments."""
    try:
        text = (await bounded_body(request)).decode()
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise InvalidArguments("this is not a form that we gave out") from error
    return {name: legible(value).replace("\r\n", "\n").strip() for name, value in pairs}


def csrf(request: Request) -> str:
    """The cookie is not readable by scripts, and this does not lead back to it."""
    cookie = request.cookies.get(OPERATOR_COOKIE, "")
    return hashlib.sha256(b"x1 form\0" + cookie.encode()).hexdigest()


def _operator(request: Request) -> str:
    return require_operator(request)


def _require_token(request: Request, fields: Mapping[str, str]) -> None:
    if OPERATOR_COOKIE not in request.cookies or not hmac.compare_digest(
        fields.get("csrf", "").encode(), csrf(request).encode()
    ):
        raise Forbidden("this form is out of date: reload its page and send it again")


def _to_sign_in(request: Request) -> Response:
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?next={quote(path, safe='')}", status_code=303)
