"""What the API's requests bring: a token and a JSON object."""

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request


def bearer(request: Request) -> str:
    """The token of `Authorization: Bearer …` or `token …`, empty when there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() in {"bearer", "token"} else ""


async def body(request: Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise HTTPException(400, "Problems parsing JSON") from error
    if not isinstance(document, dict):
        raise HTTPException(422, "Body should be a JSON object")
    return document
