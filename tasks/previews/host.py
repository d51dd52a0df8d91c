"""The client of the preview host, over its Unix socket."""

from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel

from tasks.previews.errors import HostUnavailable, NotProven

CALL_SECONDS: Final = 30.0
MARGIN_SECONDS: Final = 40.0
"""The host waits for its proxy, too, after it has proven an app."""
NOT_FOUND: Final = 404
SERVER_ERROR: Final = 500


class Start(BaseModel):
    """One revision to run. `cwd` is a finished build."""

    argv: list[str]
    cwd: str
    port_env: str = "PORT"
    env: dict[str, str] = {}
    url_host: str
    alias_host: str
    health_path: str
    timeout_seconds: float


class PreviewHost:
    """Every verb is repeatable and raises HostUnavailable when the host, or its proxy, is away."""

    def __init__(self, socket: Path, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url="http://previewhost",
            timeout=CALL_SECONDS,
            transport=transport or httpx.AsyncHTTPTransport(uds=str(socket)),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def start(self, preview_id: str, revision: str, wanted: Start) -> None:
        """Returns when the revision is proven and served at its alias. Raises NotProven with its log."""
        path = f"/apps/{preview_id}/revisions/{revision}"
        seconds = wanted.timeout_seconds + MARGIN_SECONDS
        await self._ask("PUT", path, wanted.model_dump(), seconds)

    async def switch(self, preview_id: str, revision: str) -> None:
        await self._ask("POST", f"/apps/{preview_id}/switch", {"revision": revision})

    async def log(self, preview_id: str, tail: int) -> list[str]:
        answer = await self._ask("GET", f"/apps/{preview_id}/log?tail={tail}")
        return [str(line) for line in answer.get("lines", [])]

    async def release(self, preview_id: str) -> None:
        await self._ask("DELETE", f"/apps/{preview_id}")

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, seconds: float = 30.0
    ) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, json=body, timeout=seconds)
        except httpx.TransportError as error:
            raise HostUnavailable(
                f"the preview host does not answer: {type(error).__name__}"
            ) from error
        if answer.is_success:
            return answer.json() if answer.content else {}
        raise _refusal(method, answer)


def _refusal(method: str, answer: httpx.Response) -> Exception:
    try:
        told: dict[str, Any] = answer.json()
        message = str(told["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return HostUnavailable(f"the preview host answers {answer.status_code}")
    is_verdict = method == "PUT" and answer.status_code in (409, 422, 504)
    if answer.status_code >= SERVER_ERROR and not is_verdict:
        return HostUnavailable(message)
    return NotProven(message, [str(line) for line in told.get("log") or []])


def host_of(url: str) -> str:
    """The Host that the proxy routes by; without the port."""
    return urlsplit(url).hostname or ""
