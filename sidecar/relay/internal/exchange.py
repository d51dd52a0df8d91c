"""Reading a request and writing an answer: bounded, validated at once, secrets revealed to the peer alone."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from sidecar.domain.errors import InvalidArguments
from sidecar.http_errors import invalid
from sidecar.relay.legible import legible_json
from sidecar.wire.model import reveal

MAX_BODY_BYTES = 1 << 20
"""Several times the longest message; what is longer is no request of ours."""

Model = TypeVar("Model", bound=BaseModel)


async def read(request: Request, model: type[Model]) -> Model:
    """Raises InvalidArguments with every finding at once."""
    try:
        return model.model_validate_json(legible_json(await bounded_body(request)))
    except ValidationError as error:
        raise invalid(error) from error


def answer(model: BaseModel, status: int = 200) -> Response:
    return Response(reveal(model), status_code=status, media_type="application/json")


def idempotency_key(request: Request) -> str | None:
    return request.headers.get("idempotency-key")


def integer(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or len(text) > 18:  # noqa: PLR2004 - what a bigint always holds
        raise InvalidArguments(f"{name}: expected a whole number from 0, not {text[:40]!r}")
    return int(text)


async def bounded_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise InvalidArguments(f"the body is longer than {MAX_BODY_BYTES} bytes")
    return bytes(body)
