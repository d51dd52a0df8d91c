"""One row of the operator's API: the route and its OpenAPI entry come from the same words.

Every endpoint asks for the operator before it reads anything. A change that comes with the cookie must also
come from our own pages: its Origin says so, which no foreign page can forge.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.domain.errors import Forbidden
from sidecar.relay.auth import require_operator, services_of
from sidecar.wire.operator import ID

Handler = Callable[[Request, str], Awaitable[Response]]
"""Takes the request and the operator's name."""

EVENT_STREAM: Final = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    name: str
    says: str
    schema: dict[str, object]
    is_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`method` is GET or POST. `answers` None: the answer is a stream of events."""

    method: str
    path: str
    says: str
    handle: Handler
    answers: type[BaseModel] | None
    takes: type[BaseModel] | None = None
    query: tuple[Query, ...] = ()
    headers: tuple[Query, ...] = ()
    status: int = 200


def routes_of(endpoints: Iterable[Endpoint]) -> list[Route]:
    """One route a path, so that its 405 names every method that it has."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for each in endpoints:
        by_path.setdefault(each.path, {})[each.method] = each
    return [_route(path, methods) for path, methods in by_path.items()]


def _route(path: str, methods: Mapping[str, Endpoint]) -> Route:
    async def guarded(request: Request) -> Response:
        operator = require_operator(request)
        if request.method == "POST":
            require_own_origin(request)
        endpoint = methods["GET" if request.method == "HEAD" else request.method]
        return await endpoint.handle(request, operator)

    return Route(path, guarded, methods=list(methods))


def require_own_origin(request: Request) -> None:
    """Only for browsers: a bearer token is sent on purpose, a cookie is not. Raises Forbidden."""
    if "authorization" in request.headers:
        return
    if request.headers.get("origin") not in own_origins(request):
        raise Forbidden("a browser's request must come from this relay's own pages")


def own_origins(request: Request) -> set[str]:
    """As it was reached, and as its public address says: a proxy may speak TLS before it."""
    public = urlsplit(services_of(request).settings.public_url)
    return {
        f"{request.url.scheme}://{request.headers.get('host', '')}",
        f"{public.scheme}://{public.netloc}",
    }


def text(name: str, says: str) -> Query:
    return Query(name=name, says=says, schema={"type": "string"})


def session(name: str, says: str, *, is_required: bool = False) -> Query:
    schema: dict[str, object] = {"type": "string", "pattern": ID}
    return Query(name=name, says=says, schema=schema, is_required=is_required)


def several(name: str, says: str, *values: str) -> Query:
    """Separated by commas."""
    schema: dict[str, object] = {"type": "array", "items": {"type": "string", "enum": list(values)}}
    return Query(name=name, says=says, schema=schema)


def choice(name: str, says: str, *values: str) -> Query:
    return Query(name=name, says=says, schema={"type": "string", "enum": list(values)})


def number(name: str, says: str, most: int, least: int = 0) -> Query:
    schema: dict[str, object] = {"type": "integer", "minimum": least, "maximum": most}
    return Query(name=name, says=says, schema=schema)
