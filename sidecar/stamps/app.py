"""Answers a request for a stamp with one by each key, a line each, and everything else with 404."""

import os

from anyio import Path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sidecar.domain.stamp import MAX_NONCE, PLACE, stamp


def create_app(keys_file: os.PathLike[str]) -> Starlette:
    async def alive(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def stamped(request: Request) -> Response:
        """400 without a nonce. The file is read at each request: the kubelet replaces it when keys are rotated."""
        nonce = request.query_params.get("nonce", "")
        if not 0 < len(nonce) <= MAX_NONCE:
            return PlainTextResponse("a nonce is missing\n", 400)
        host = request.headers.get("host", "").partition(":")[0]
        revision = request.path_params["revision"]
        lines = [
            stamp(key, host=host, revision=revision, nonce=nonce)
            for key in (await Path(keys_file).read_text()).split()
        ]
        return PlainTextResponse("\n".join(lines), headers={"cache-control": "no-store"})

    return Starlette(
        routes=[
            Route("/healthz", alive),
            Route(PLACE + "{revision}", stamped, methods=["GET"]),
        ]
    )
