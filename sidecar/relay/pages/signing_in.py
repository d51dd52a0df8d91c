"""Signing in with the operator token, for a cookie that no script reads and no other site sends."""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sidecar.domain.errors import Forbidden, Unauthenticated, X1Error
from sidecar.relay.auth import OPERATOR_COOKIE, operator_cookie, services_of
from sidecar.relay.operator.endpoint import own_origins
from sidecar.relay.pages.rendering import rendered
from sidecar.relay.pages.visit import Visit, done, form, read_form, sorry
from sidecar.relay.tokens import OPERATOR_LIFETIME

_OWN_PATH: Final = re.compile(r"/(?![/\\])[\w./?=&%~:@!,;+-]*")
"""A path of ours; `//host` and `/\\host` would lead away."""


async def ask(request: Request) -> Response:
    return _asked(request, "")


async def sign_in(request: Request) -> Response:
    try:
        return await _signed_in(request)
    except Unauthenticated as error:
        return _asked(request, str(error), 401)
    except X1Error as error:
        return sorry(error)


async def _signed_in(request: Request) -> Response:
    origin = request.headers.get("origin")
    if origin is not None and origin not in own_origins(request):
        raise Forbidden("sign in on this relay's own page")
    fields, services = await read_form(request), services_of(request)
    cookie = operator_cookie(services, fields.get("token", ""))
    answer = RedirectResponse(_own(fields.get("next", "")), status_code=303)
    answer.set_cookie(
        OPERATOR_COOKIE,
        cookie,
        max_age=int(OPERATOR_LIFETIME.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=services.settings.public_url.startswith("https:"),
    )
    return answer


def _asked(request: Request, wrong: str, status: int = 200) -> Response:
    following = _own(request.query_params.get("next", ""))
    return rendered("login.html", {"wrong": wrong, "next": following, "operator": None}, status)


def _own(path: str) -> str:
    return path if _OWN_PATH.fullmatch(path) else "/"


async def sign_out(_: Visit) -> Response:
    answer = done("/login")
    answer.delete_cookie(OPERATOR_COOKIE, httponly=True, samesite="strict")
    return answer


routes = [
    Route("/login", ask, methods=["GET"]),
    Route("/login", sign_in, methods=["POST"]),
    form("/logout", sign_out),
]
