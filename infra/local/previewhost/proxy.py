"""The proxy's routes, over Caddy's admin API: https://caddyserver.com/docs/api."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

ROUTES = "/config/apps/http/servers/previews/routes"
HEADER = "X-X1-Revision"
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    host: str
    port: int
    revision: str


class ProxyAway(Exception):
    """The proxy does not answer; its routes are put back when it does."""


class Proxy:
    """`admin` is `unix:<path>` or an http URL."""

    def __init__(self, admin: str) -> None:
        self._mark = ""
        if admin.startswith("unix:"):
            transport = httpx.AsyncHTTPTransport(uds=admin.removeprefix("unix:"))
            base = "http://127.0.0.1"
        else:
            transport, base = httpx.AsyncHTTPTransport(), admin
        self._http = httpx.AsyncClient(transport=transport, base_url=base, timeout=TIMEOUT_SECONDS)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def apply(self, routes: Sequence[Route]) -> None:
        """Makes the proxy serve exactly these hosts. Raises ProxyAway."""
        wanted = document(routes)
        await self._ask("PATCH", wanted)
        self._mark = _digest(wanted)

    async def is_current(self) -> bool:
        """Whether the proxy has what was applied last; a restarted one has nothing. Raises ProxyAway."""
        answer = await self._ask("GET", None)
        return _digest(answer.json() or []) == self._mark

    async def _ask(self, method: str, content: object) -> httpx.Response:
        try:
            answer = await self._http.request(method, ROUTES, json=content)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise ProxyAway(f"the proxy does not take routes: {error}") from error
        return answer


def document(routes: Sequence[Route]) -> list[Mapping[str, Any]]:
    """Caddy's route list, ending in an answer for every host that is no preview."""
    return [*(_route(each) for each in routes), NOBODY]


NOBODY: Mapping[str, Any] = {
    "handle": [
        {
            "handler": "static_response",
            "status_code": 404,
            "headers": {"Content-Type": ["text/plain; charset=utf-8"]},
            "body": "No preview is served at this address: it expired, was released, or never was.\n",
        }
    ]
}


def _route(route: Route) -> Mapping[str, Any]:
    """The app cannot claim another revision: its own header of that name is replaced last."""
    return {
        "match": [{"host": [route.host]}],
        "terminal": True,
        "handle": [
            {
                "handler": "headers",
                "response": {"deferred": True, "set": {HEADER: [route.revision]}},
            },
            {
                "handler": "reverse_proxy",
                "upstreams": [{"dial": f"127.0.0.1:{route.port}"}],
                "headers": {"response": {"delete": [HEADER]}},
            },
        ],
    }


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
