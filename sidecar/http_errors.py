"""How an error leaves any of our HTTP services: one status table, one body.

The body is `{"error": {"code", "message", "findings"}}`; `sidecar.client.errors` reads it back. What is
not ours becomes 500 `internal` without its text, which goes to the log alone.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sidecar.domain import errors
from sidecar.domain.errors import Finding, InvalidArguments, X1Error

RETRY_AFTER_SECONDS: Final = "2"

STATUS: Final[Mapping[type[X1Error], int]] = {
    errors.Unauthenticated: 401,
    errors.BudgetExhausted: 402,
    errors.Forbidden: 403,
    errors.GrantMissing: 403,
    errors.AgentNotPermitted: 403,
    errors.NotYourChild: 403,
    errors.DepthExceeded: 403,
    errors.PushRefused: 403,
    errors.ArtifactTooLarge: 413,
    errors.InvalidArguments: 422,
    errors.Unknown: 404,
    errors.Conflict: 409,
    errors.Refused: 409,
    errors.Unavailable: 503,
    X1Error: 500,
}
"""By class; a subclass that is not listed has its nearest ancestor's."""

log = structlog.stdlib.get_logger(__name__)


def status_of(error: X1Error) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def error_response(error: X1Error) -> JSONResponse:
    status = status_of(error)
    headers = {"retry-after": RETRY_AFTER_SECONDS} if status == 503 else {}  # noqa: PLR2004 - as in the table
    body = {"code": error.code, "message": str(error), "findings": _findings(error)}
    return JSONResponse({"error": body}, status_code=status, headers=headers)


def invalid(error: ValidationError) -> InvalidArguments:
    """Pydantic's findings as ours: every field at once, values left out."""
    findings = tuple(
        Finding(
            path=".".join(map(str, found["loc"])) or "body",
            message=found["msg"].removeprefix("Value error, "),
        )
        for found in error.errors(include_input=False, include_url=False)
    )
    return InvalidArguments("these arguments are not acceptable:", findings)


def _findings(error: X1Error) -> list[dict[str, Any]]:
    if not isinstance(error, InvalidArguments):
        return []
    return [
        {"path": found.path, "message": found.message, "line": found.line}
        for found in error.findings
    ]


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, X1Error)
    return error_response(error)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    return error_response(invalid(error))


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    body = {"code": f"http_{error.status_code}", "message": error.detail, "findings": []}
    return JSONResponse({"error": body}, status_code=error.status_code, headers=error.headers)


async def _internal(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, method=request.method, exc_info=error)
    body = {"code": "internal", "message": "an internal error; the log has it", "findings": []}
    return JSONResponse({"error": body}, status_code=500)


exception_handlers: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    X1Error: _ours,
    ValidationError: _invalid,
    HTTPException: _http,
    Exception: _internal,
}
