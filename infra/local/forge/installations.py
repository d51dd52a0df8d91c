"""The App at its installations: it finds the one of a repository and mints narrowed tokens there."""

import zlib
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.forge.repositories import NotFound, Repositories
from infra.local.forge.requests import bearer, body
from infra.local.forge.tokens import ACCESS, Tokens


class Installations:
    """Only the App's JWT opens these routes."""

    def __init__(self, repositories: Repositories, tokens: Tokens) -> None:
        self._repositories = repositories
        self._tokens = tokens

    def routes(self) -> list[Route]:
        return [
            Route("/app", self._app),
            Route("/app/installations", self._installations),
            Route("/app/installations/{id:int}/access_tokens", self._mint, methods=["POST"]),
            Route("/repos/{owner}/{name}/installation", self._installation),
        ]

    def _require_app(self, request: Request) -> None:
        if not self._tokens.is_app(bearer(request)):
            raise HTTPException(401, "A JSON web token could not be decoded")

    async def _app(self, request: Request) -> Response:
        self._require_app(request)
        return JSONResponse({"id": 1, "slug": "x1", "name": "x1"})

    async def _installations(self, request: Request) -> Response:
        self._require_app(request)
        owners = sorted({each.owner for each in self._repositories.all()})
        return JSONResponse(
            [{"id": installation_of(each), "account": {"login": each}} for each in owners]
        )

    async def _installation(self, request: Request) -> Response:
        self._require_app(request)
        name = request.path_params["name"]
        try:
            owner = self._repositories.get(request.path_params["owner"], name).owner
        except NotFound as error:
            raise HTTPException(404, "Not Found") from error
        return JSONResponse({"id": installation_of(owner), "account": {"login": owner}})

    async def _mint(self, request: Request) -> Response:
        self._require_app(request)
        asked = await body(request)
        known = {
            each.name: each
            for each in self._repositories.all()
            if installation_of(each.owner) == request.path_params["id"]
        }
        if not known:
            raise HTTPException(404, "Not Found")
        names, permissions = _wanted(asked, list(known))
        missing = [name for name in names if name not in known]
        if missing:
            raise HTTPException(422, f"There is no repository {', '.join(missing)}")
        chosen = tuple(known[name].full_name for name in names)
        text, token = self._tokens.mint(chosen, permissions)
        told = {
            "token": text,
            "expires_at": token.expires_at,
            "permissions": permissions,
            "repositories": [{"full_name": name} for name in chosen],
        }
        return JSONResponse(told, status_code=201)


def installation_of(owner: str) -> int:
    """The App is installed once an owner, and a token never reaches beyond its installation."""
    return zlib.crc32(owner.encode())


def _wanted(asked: dict[str, Any], all_names: list[str]) -> tuple[list[str], dict[str, str]]:
    """The repositories' names and the permissions of a token, everything when nothing is said."""
    names = asked.get("repositories") or all_names
    permissions = asked.get("permissions") or {"contents": "write", "pull_requests": "write"}
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise HTTPException(422, "repositories should be a list of names")
    if not isinstance(permissions, dict) or any(
        access not in tuple(ACCESS) for access in permissions.values()
    ):
        raise HTTPException(422, f"permissions should each be one of {', '.join(ACCESS)}")
    return names, permissions
