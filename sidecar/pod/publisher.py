"""The session's events on their way to the bus: numbered densely, text put together, memory bounded.

`record` returns at once while there is room and waits while there is none; as the runtime's reader records
before it reads on, a bus that is down stops the runtime's output instead of filling memory. A batch is
published until it is acknowledged, under one message id, so that a repeat is no second event.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_never, wait_random_exponential

from sidecar.domain.errors import Unavailable
from sidecar.domain.event import MAX_PAYLOAD_BYTES, EventType
from sidecar.domain.ids import new_id
from sidecar.redaction import Redactor
from sidecar.wire.envelope import Envelope, encode, message_id

SOURCE: Final = "sidecar"
COALESCE_SECONDS: Final = 0.05
COALESCE_CHARACTERS: Final = 4096
BUFFER_BYTES: Final = 4 * 1024 * 1024
BATCH_BYTES: Final = 512 * 1024
"""Under NATS's one megabyte a message, with room for one largest event on top."""
BATCH_EVENTS: Final = 256
MAX_DEPTH: Final = 32
SHORTEST_CUT: Final = 32
_CHUNKED: Final = (EventType.AGENT_TEXT, EventType.AGENT_THOUGHT)

Publish = Callable[[bytes, str], Awaitable[None]]
"""Stores a body under a message id; raises Unavailable."""

log = structlog.stdlib.get_logger(__name__)


class _Draft:
    __slots__ = ("payload", "size", "timestamp", "type")

    def __init__(self, kind: EventType, payload: dict[str, Any], size: int) -> None:
        self.type = kind
        self.payload = payload
        self.size = size
        self.timestamp = datetime.now(UTC)


class Publisher:
    def __init__(
        self, publish: Publish, *, session_id: str, generation: int, redactor: Redactor
    ) -> None:
        self._publish = publish
        self._session_id = session_id
        self._generation = generation
        self._redactor = redactor
        self._drafts: deque[_Draft] = deque()
        self._bytes = 0
        self._in_flight = 0
        self._last = 0
        self._changed = asyncio.Condition()
        self._hurry = asyncio.Event()
        self.recorded = 0

    async def record(self, kind: EventType, payload: dict[str, Any]) -> None:
        """Safe once `flush` returns. Waits while the buffer is full."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._bytes < BUFFER_BYTES)
            self.recorded += 1
            if not self._joined(kind, payload):
                self._put(kind, payload)
            self._changed.notify_all()

    async def run(self) -> None:
        """Publishes until cancelled; `flush` first."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._drafts))
            await self._linger()
            await self._publish_batch(self._take())

    async def flush(self, timeout: float | None = None) -> bool:
        """Whether everything recorded so far is stored, within so many seconds or whenever it is."""
        self._hurry.set()
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: not self._drafts and not self._in_flight)
        except TimeoutError:
            return False
        finally:
            self._hurry.clear()
        return True

    def _joined(self, kind: EventType, payload: dict[str, Any]) -> bool:
        """A chunk of text goes on the end of the last draft, if that is of its kind and short."""
        last = self._drafts[-1] if self._drafts else None
        if kind not in _CHUNKED or last is None or last.type is not kind:
            return False
        if set(last.payload) != {"text"} or len(last.payload["text"]) >= COALESCE_CHARACTERS:
            return False
        text = legible(str(payload["text"]))
        last.payload["text"] += text
        last.size += len(text)
        self._bytes += len(text)
        return True

    def _put(self, kind: EventType, payload: dict[str, Any]) -> None:
        payload = {name: legible(item) for name, item in payload.items()}
        size = _size(payload)
        self._drafts.append(_Draft(kind, payload, size))
        self._bytes += size

    async def _linger(self) -> None:
        """Only lone text waits for more of it."""
        first = self._drafts[0]
        is_growing = len(self._drafts) == 1 and first.type in _CHUNKED
        if is_growing and first.size < COALESCE_CHARACTERS:
            try:
                async with asyncio.timeout(COALESCE_SECONDS):
                    await self._hurry.wait()
            except TimeoutError:
                return

    def _take(self) -> list[Envelope]:
        taken: list[Envelope] = []
        size = 0
        while self._drafts and len(taken) < BATCH_EVENTS and size < BATCH_BYTES:
            draft = self._drafts.popleft()
            size += draft.size
            self._last += 1
            taken.append(self._envelope(draft))
        self._in_flight = size
        return taken

    def _envelope(self, draft: _Draft) -> Envelope:
        return Envelope(
            id=new_id(),
            session_id=self._session_id,
            generation=self._generation,
            source=SOURCE,
            source_sequence=self._last,
            timestamp=draft.timestamp,
            type=draft.type.value,
            payload=bounded(self._redactor.mask(draft.payload)),
        )

    async def _publish_batch(self, batch: list[Envelope]) -> None:
        body, name = encode(batch), message_id(batch)
        patient = AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            stop=stop_never,
            before_sleep=lambda state: log.info(
                "events wait for the bus", session_id=self._session_id, attempt=state.attempt_number
            ),
        )
        async for attempt in patient:
            with attempt:
                await self._publish(body, name)
        async with self._changed:
            self._bytes = sum(draft.size for draft in self._drafts)
            self._in_flight = 0
            self._changed.notify_all()


def legible(value: Any, depth: int = MAX_DEPTH) -> Any:
    """What JSON, PostgreSQL and a reader can all hold: no lone surrogates, no NUL, no bottomless nesting."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()
    if depth == 0 and isinstance(value, dict | list | tuple):
        return "…"
    if isinstance(value, dict):
        return {str(legible(str(key))): legible(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [legible(item, depth - 1) for item in value]
    return value


def bounded(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload, its longest texts cut until it fits; `truncated` then says so."""
    limit = MAX_PAYLOAD_BYTES // 2
    while _size(payload) > MAX_PAYLOAD_BYTES and limit >= SHORTEST_CUT:
        payload = {**_cut(payload, limit), "truncated": True}
        limit //= 4
    if _size(payload) > MAX_PAYLOAD_BYTES:
        return {
            "truncated": True,
            "text": json.dumps(payload, default=str)[: MAX_PAYLOAD_BYTES // 8],
        }
    return payload


def _cut(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= limit else value[:limit] + "…"
    if isinstance(value, dict):
        return {str(key)[:limit]: _cut(item, limit) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(item, limit) for item in value]
    return value


def _size(payload: dict[str, Any]) -> int:
    return len(json.dumps(payload, ensure_ascii=False, default=str).encode(errors="replace"))
