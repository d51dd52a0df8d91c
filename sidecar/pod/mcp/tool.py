"""What a tool is here: a name, words for the model, validated arguments, one call."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from sidecar.client.relay import RelayClient
from sidecar.wire.claim import SpawnableAgent
from sidecar.wire.model import StrictModel


class Arguments(StrictModel):
    """No arguments; the base of those that have some."""


class Repeatable(Arguments):
    idempotency_key: str | None = Field(
        default=None,
        max_length=128,
        description="Calls with the same key have one effect and one answer. Usually left out.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What one call works with. `key` makes a mutating call's repeat harmless."""

    relay: RelayClient
    key: str
    spawnable: Callable[[], list[SpawnableAgent]]
    end_session: Callable[[str, str | None], None]

    @property
    def own(self) -> str:
        return f"/internal/sessions/{self.relay.session_id}"

    async def get(self, path: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        known = {name: value for name, value in (params or {}).items() if value is not None}
        return await self.relay.ask("GET", path, params=known)

    async def post(
        self, path: str, body: BaseModel | None = None, *, timeout: float = 20.0
    ) -> dict[str, Any]:
        return await self.relay.ask("POST", path, body, key=self.key, timeout=timeout)


Act = Callable[[Desk, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    name: str
    description: str
    act: Act
    arguments: type[Arguments] = Arguments


def key_of(*, wake_id: str, tool: str, arguments: Arguments, ordinals: dict[str, int]) -> str:
    """(wake of the turn, tool, canonical arguments, how often so far), or the key the call names.

    The relay keeps keys per session. A turn that is repeated after a crash counts from one again, so that
    what it did before the crash is answered instead of done twice.
    """
    named = getattr(arguments, "idempotency_key", None)
    if named:
        return _digest(tool, "named", named)
    canonical = json.dumps(arguments.model_dump(mode="json"), sort_keys=True)
    counted = f"{tool} {canonical}"
    ordinals[counted] = ordinal = ordinals.get(counted, 0) + 1
    return _digest(tool, wake_id, canonical, str(ordinal))


def _digest(tool: str, *parts: str) -> str:
    return f"{tool}:{hashlib.sha256(chr(0).join(parts).encode(errors='replace')).hexdigest()}"
