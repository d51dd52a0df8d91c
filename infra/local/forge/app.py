"""The forge's application: REST, smart HTTP, pages."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from infra.local.forge.installations import Installations
from infra.local.forge.pages import Pages
from infra.local.forge.repositories import Repositories
from infra.local.forge.rest import Rest
from infra.local.forge.smart_http import SmartHttp
from infra.local.forge.tokens import Tokens

DOCUMENTATION = "https://docs.github.com/rest"
API = ("/repos", "/app", "/admin")
GIT = ("/info/refs", "/git-upload-pack", "/git-receive-pack")


class Forge:
    """git's requests are streamed past Starlette; everything else is its."""

    def __init__(self, repositories: Repositories, tokens: Tokens) -> None:
        self._git = SmartHttp(repositories, tokens)
        self._rest = Starlette(
            routes=[
                Route("/healthz", _healthz),
                *Installations(repositories, tokens).routes(),
                *Rest(repositories, tokens).routes(),
                *(Mount(prefix, app=_nothing) for prefix in API),
                *Pages(repositories).routes(),
            ],
            exception_handlers={HTTPException: _as_github_does},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_git = scope["type"] == "http" and scope["path"].endswith(GIT)
        if is_git and scope["path"].count("/") >= 3:  # noqa: PLR2004 - /owner/repo/…
            await self._git(scope, receive, send)
        else:
            await self._rest(scope, receive, send)


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("ok")


async def _nothing(*_: Scope | Receive | Send) -> None:
    """The API's unknown routes are no repository's page."""
    raise HTTPException(404, "Not Found")


async def _as_github_does(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = {"message": error.detail, "documentation_url": DOCUMENTATION}
    return JSONResponse(told | {"status": str(error.status_code)}, status_code=error.status_code)
