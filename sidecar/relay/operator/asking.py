"""Query parameters of the operator's routes, each checked at once."""

from enum import StrEnum
from typing import Final, TypeVar

from starlette.requests import Request

from sidecar.domain.errors import InvalidArguments
from sidecar.relay.internal.exchange import integer
from sidecar.relay.legible import legible

MOST_SESSIONS: Final = 1000
MOST_EVENTS: Final = 1000
MOST_ROWS: Final = 1000

Closed = TypeVar("Closed", bound=StrEnum)


def limit(request: Request, default: int, most: int) -> int:
    """Raises InvalidArguments."""
    found = integer(request, "limit", default)
    if not 1 <= found <= most:
        raise InvalidArguments(f"limit: expected 1 to {most}, not {found}")
    return found


def path_id(request: Request) -> str:
    return legible(request.path_params["id"])


def words(request: Request, name: str) -> list[str]:
    """Separated by commas, or given several times."""
    given = ",".join(request.query_params.getlist(name))
    return [legible(word.strip()) for word in given.split(",") if word.strip()]


def word(request: Request, name: str) -> str | None:
    found = request.query_params.get(name)
    return None if found is None else legible(found)


def members(request: Request, name: str, kind: type[Closed]) -> list[Closed]:
    """Raises InvalidArguments with what is allowed."""
    try:
        return [kind(each) for each in words(request, name)]
    except ValueError as error:
        allowed = ", ".join(kind)
        raise InvalidArguments(f"{name}: expected some of {allowed}; {error}") from error
