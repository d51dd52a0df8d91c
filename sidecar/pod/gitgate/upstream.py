"""The way to the forge: pooled, never redirected, with a token that is put in at one place only."""

import base64
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import aiohttp
from pydantic import SecretStr

from sidecar.domain.errors import ForgeUnavailable

CONNECT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 120.0
"""A forge that unpacks a large push says nothing meanwhile."""
REQUEST_HEADERS: Final = ("accept", "content-type", "content-encoding", "git-protocol")
RESPONSE_HEADERS: Final = ("content-type", "content-encoding", "cache-control")
"""Nothing else comes back: no cookie, no location, no challenge that names the forge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """To one repository's path on the forge. `egress` is a pass where the way leads through the egress proxy."""

    url: str
    token: SecretStr
    egress: SecretStr | None = None


class Upstream:
    """`egress_url` is the egress proxy's, used for each way with a pass; None: there is none before this pod."""

    def __init__(
        self,
        egress_url: str | None = None,
        *,
        verify: ssl.SSLContext | Literal[True] = True,
    ) -> None:
        self._egress_url = egress_url
        self._verify = verify
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def request(
        self,
        method: str,
        way: Way,
        *,
        headers: Mapping[str, str],
        body: AsyncIterator[bytes] | bytes | None = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Raises ForgeUnavailable when the forge does not answer, or answers 5xx before anything was sent."""
        sent = {name: headers[name] for name in REQUEST_HEADERS if name in headers}
        sent["authorization"] = f"Basic {_basic(way.token.get_secret_value())}"
        through = self._through(way, sent)
        try:
            async with self._client().request(
                method,
                way.url,
                headers=sent,
                data=body,
                allow_redirects=False,
                ssl=self._verify,
                **through,
            ) as answer:
                yield answer
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ForgeUnavailable(f"the forge broke off: {type(error).__name__}") from error

    def _through(self, way: Way, headers: dict[str, str]) -> dict[str, Any]:
        """Shows the pass to the proxy: before a tunnel, or in a plain request, out of which the proxy takes it."""
        if self._egress_url is None or way.egress is None:
            return {}
        shown = {"proxy-authorization": f"Bearer {way.egress.get_secret_value()}"}
        if way.url.startswith("https:"):
            return {"proxy": self._egress_url, "proxy_headers": shown}
        headers |= shown  # aiohttp sends `proxy_headers` with CONNECT alone
        return {"proxy": self._egress_url}

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
            )
            self._session = aiohttp.ClientSession(
                timeout=timeout,
                trust_env=False,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": "git/x1flows"},
            )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


def _basic(token: str) -> str:
    return base64.b64encode(f"x-access-token:{token}".encode()).decode()
