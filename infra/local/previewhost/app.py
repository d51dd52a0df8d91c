"""The host's HTTP API, over a Unix socket that only this user may open."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from infra.local.previewhost.host import Host, Unknown
from infra.local.previewhost.processes import NotProven
from infra.local.previewhost.proxy import ProxyAway
from infra.local.previewhost.records import Revision

MAX_TAIL = 2000


class DeployBody(BaseModel):
    argv: list[str] = Field(min_length=1, max_length=200)
    cwd: str
    port_env: str = Field(default="PORT", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    env: dict[str, str] = Field(default_factory=dict)
    url_host: str
    alias_host: str
    health_path: str = Field(default="/", pattern=r"^/")
    timeout_seconds: float = Field(default=60, gt=0, le=600)


class SwitchBody(BaseModel):
    revision: str


def create_app(host: Host) -> Starlette:
    """Left in reverse: the keeping ends before the apps do, so that none is started again meanwhile."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(host.keep(), name="keep previews")
            yield
            keeping.cancel()
        await host.stop_all()

    routes = _Routes(host)
    return Starlette(
        routes=[
            Route("/healthz", routes.healthz),
            Route("/apps/{id}/revisions/{revision}", routes.deploy, methods=["PUT"]),
            Route("/apps/{id}/switch", routes.switch, methods=["POST"]),
            Route("/apps/{id}/log", routes.log),
            Route("/apps/{id}", routes.show, methods=["GET"]),
            Route("/apps/{id}", routes.release, methods=["DELETE"]),
        ],
        exception_handlers={
            Unknown: _unknown,
            ValidationError: _invalid,
            ProxyAway: _away,
        },
        lifespan=lifespan,
    )


class _Routes:
    def __init__(self, host: Host) -> None:
        self._host = host

    async def healthz(self, _: Request) -> Response:
        return PlainTextResponse("ok")

    async def deploy(self, request: Request) -> Response:
        asked = DeployBody.model_validate_json(await request.body())
        preview_id, sha = request.path_params["id"], request.path_params["revision"]
        wanted = Revision(revision=sha, **asked.model_dump(exclude={"url_host", "timeout_seconds"}))
        try:
            proven = await self._host.deploy(
                preview_id, asked.url_host, wanted, asked.timeout_seconds
            )
        except NotProven as no:
            return _error(422, "not_proven", str(no), log=self._host.failed_log(preview_id, sha))
        return JSONResponse({"port": proven.port, "pid": proven.pid, "proven": True})

    async def switch(self, request: Request) -> Response:
        asked = SwitchBody.model_validate_json(await request.body())
        await self._host.switch(request.path_params["id"], asked.revision)
        return JSONResponse({"serving": asked.revision})

    async def show(self, request: Request) -> Response:
        app = self._host.get(request.path_params["id"])
        return JSONResponse({"serving": app.serving, "revisions": list(app.revisions)})

    async def log(self, request: Request) -> Response:
        asked = request.query_params.get("tail", "200")
        tail = min(int(asked), MAX_TAIL) if asked.isdecimal() else 200
        return JSONResponse({"lines": self._host.log(request.path_params["id"], tail)})

    async def release(self, request: Request) -> Response:
        await self._host.release(request.path_params["id"])
        return Response(status_code=204)


async def _unknown(_: Request, error: Exception) -> Response:
    return _error(404, "preview_unknown", str(error))


async def _invalid(_: Request, error: Exception) -> Response:
    return _error(422, "invalid_arguments", str(error))


async def _away(_: Request, error: Exception) -> Response:
    return _error(503, "proxy_unavailable", str(error))


def _error(status: int, code: str, message: str, log: list[str] | None = None) -> Response:
    body = {"error": {"code": code, "message": message}, "log": log or []}
    return JSONResponse(body, status_code=status)
