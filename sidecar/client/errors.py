"""The way back of `sidecar.http_errors`: a service's refusal as the error it was, found by its code."""

import json
from typing import Any, Final

from sidecar.domain import errors
from sidecar.domain.errors import (
    Finding,
    InvalidArguments,
    Refused,
    RelayUnavailable,
    Unavailable,
    X1Error,
)

_AMBIGUOUS: Final[dict[str, type[X1Error]]] = {
    InvalidArguments.code: InvalidArguments,
    RelayUnavailable.code: RelayUnavailable,
}
_BY_CODE: Final[dict[str, type[X1Error]]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, X1Error)
} | _AMBIGUOUS

_SERVER_ERROR: Final = 500
_SHOWN_BYTES: Final = 200


def error_of(status: int, body: bytes) -> X1Error:
    """What a response with an error status means. Never raises, whatever the body is.

    From 500 on a code that this version does not know is Unavailable, a body that has none RelayUnavailable: a
    proxy's word. Below 500 it is Refused.
    """
    told = _told(body)
    kind = _BY_CODE.get(str(told.get("code")))
    message = str(told.get("message") or _shown(status, body))
    if kind is None or kind is X1Error:
        away = Unavailable if told.get("code") else RelayUnavailable
        kind = away if status >= _SERVER_ERROR else Refused
    error = kind(message)
    if isinstance(error, InvalidArguments):
        error.findings = _findings(told.get("findings"))
    return error


def _told(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    told = document.get("error") if isinstance(document, dict) else None
    return told if isinstance(told, dict) else {}


def _findings(told: Any) -> tuple[Finding, ...]:
    items = told if isinstance(told, list) else []
    return tuple(
        Finding(path=str(item.get("path")), message=str(item.get("message")), line=item.get("line"))
        for item in items
        if isinstance(item, dict)
    )


def _shown(status: int, body: bytes) -> str:
    return f"HTTP {status}: {body[:_SHOWN_BYTES].decode(errors='replace')}"
