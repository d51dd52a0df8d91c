"""The relay's public keys, asked for now and then, and at once for a key that is not known yet.

A relay that is away changes nothing: what was believed last is believed until it answers again. So a key is
replaced without anybody telling this service.
"""

import asyncio
import time
from typing import Any, Final

import httpx
import jwt
import structlog
from pydantic import BaseModel

from sidecar.domain.errors import RelayUnavailable

PATH: Final = "/.well-known/jwks.json"
REFRESH_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 1.0
AT_MOST_EVERY_SECONDS: Final = 2.0
"""Whoever makes up key ids does not make this service ask the relay each time."""
ASK_SECONDS: Final = 5.0

log = structlog.stdlib.get_logger(__name__)


class RelayKeys:
    def __init__(self, http: httpx.AsyncClient) -> None:
        """`http` has the relay's URL as its base."""
        self._http = http
        self._believed: list[jwt.PyJWK] = []
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")

    @property
    def is_ready(self) -> bool:
        return bool(self._believed)

    async def run(self) -> None:
        """Forever."""
        while True:
            is_told = await self._ask()
            await asyncio.sleep(REFRESH_SECONDS if is_told else RETRY_SECONDS)

    async def named(self, kid: str | None) -> list[jwt.PyJWK]:
        """Raises RelayUnavailable before the relay has answered once."""
        found = self._named(kid)
        if not found:
            await self._ask()
            found = self._named(kid)
        if not self.is_ready:
            raise RelayUnavailable("the egress proxy waits for the relay's keys")
        return found

    def _named(self, kid: str | None) -> list[jwt.PyJWK]:
        return [each for each in self._believed if kid is None or each.key_id in (None, kid)]

    async def _ask(self) -> bool:
        async with self._asking:
            if time.monotonic() < self._asked_at + AT_MOST_EVERY_SECONDS:
                return self.is_ready
            self._asked_at = time.monotonic()
            try:
                answer = await self._http.get(PATH, timeout=ASK_SECONDS)
                answer.raise_for_status()
                self._believed = _read(answer.content)
            except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
                log.warning("the relay does not tell its keys", reason=str(error))
                return False
        return True


class _KeySet(BaseModel):
    """RFC 7517. What a key consists of is PyJWT's to know."""

    keys: list[dict[str, Any]]


def _read(said: bytes) -> list[jwt.PyJWK]:
    """Raises ValueError for something else than a key set, PyJWTError when none of its keys can be used."""
    return jwt.PyJWKSet(_KeySet.model_validate_json(said).keys).keys
