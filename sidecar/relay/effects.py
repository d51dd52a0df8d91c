"""Effects happen once: the same key gets the first answer again, whoever repeats the call."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from sidecar.domain.errors import InvalidArguments
from sidecar.domain.ids import SessionId
from sidecar.store.port import Transaction

MAX_KEY: Final = 256


async def once(
    tx: Transaction,
    session_id: SessionId,
    key: str | None,
    act: Callable[[], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:
    """Acts, or answers what the first call under this key answered. The answer is JSON.

    Twins with one key wait for each other; a call that raises leaves nothing behind and may be repeated.
    Prefix keys with the verb: agents may choose them.
    """
    if key is None:
        return await act()
    if not 0 < len(key) <= MAX_KEY:
        raise InvalidArguments(f"an idempotency key has 1 to {MAX_KEY} characters, not {len(key)}")
    stored = await tx.effects.get(session_id, key)
    if stored is not None:
        return stored
    answer = await act()
    await tx.effects.put(session_id, key, answer)
    return answer
