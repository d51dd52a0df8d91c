"""Passes: tokens that the relay minted for one session, and that name the hosts which it may reach."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sidecar.domain.errors import Unauthenticated
from sidecar.domain.ids import SessionId

ALGORITHM: Final = "EdDSA"
AUDIENCE: Final = "x1-egress"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    session_id: SessionId
    hosts: tuple[str, ...]
    """Patterns of `sidecar.domain.egress`."""


Keys = Callable[[str | None], Awaitable[list[jwt.PyJWK]]]
"""The relay's keys that may have signed a token naming this key id, or all when it names none."""


class Passes:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def check(self, token: str) -> Pass:
        """Raises Unauthenticated, and what `keys` raises."""
        try:
            named = jwt.get_unverified_header(token).get("kid")
            claims = _proven(token, await self._keys(named))
            said = _Claims.model_validate(claims)
        except (jwt.PyJWTError, ValidationError) as error:
            raise Unauthenticated(f"the pass is not acceptable: {type(error).__name__}") from error
        return Pass(session_id=SessionId(said.sub), hosts=tuple(said.hosts))


class _Claims(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    sub: str = Field(min_length=1, max_length=200)
    hosts: list[str] = Field(max_length=1000)


def _proven(token: str, keys: list[jwt.PyJWK]) -> dict[str, Any]:
    refused: jwt.PyJWTError = jwt.InvalidSignatureError("no key of the relay's")
    for key in keys:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                options={"require": ["exp", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            refused = error
    raise refused
