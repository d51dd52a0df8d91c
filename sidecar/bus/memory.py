"""The bus in memory: the double that passes the same contract tests as NATS JetStream."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sidecar.bus.port import Delivery
from sidecar.domain.errors import BusUnavailable
from sidecar.domain.ids import SessionId
from sidecar.wire import subjects


class MemoryBus:
    """`is_away` makes every call raise BusUnavailable, as a server that is down does."""

    def __init__(self) -> None:
        self._stored: dict[int, Delivery] = {}
        self._seen: set[str] = set()
        self._last = 0
        self._bells: defaultdict[SessionId, set[asyncio.Queue[str]]] = defaultdict(set)
        self._arrived = asyncio.Event()
        self.is_away = False

    async def publish_events(self, session_id: SessionId, body: bytes, message_id: str) -> None:
        self._answer()
        if message_id in self._seen:
            return
        self._seen.add(message_id)
        self._last += 1
        subject = subjects.events(session_id)
        self._stored[self._last] = Delivery(subject=subject, body=body, sequence=self._last)
        self._arrived.set()

    async def ring(self, session_id: SessionId, wake_id: str) -> None:
        self._answer()
        for queue in self._bells[session_id]:
            queue.put_nowait(wake_id)

    @asynccontextmanager
    async def doorbell(self, session_id: SessionId) -> AsyncGenerator[AsyncIterator[str]]:
        self._answer()
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._bells[session_id].add(queue)
        try:
            yield _rings(queue)
        finally:
            self._bells[session_id].discard(queue)

    @asynccontextmanager
    async def deliveries(self) -> AsyncGenerator["MemoryDeliveries"]:
        self._answer()
        yield MemoryDeliveries(self._stored, self._arrived, self._answer)

    async def ping(self) -> None:
        self._answer()

    async def aclose(self) -> None:
        return

    def _answer(self) -> None:
        if self.is_away:
            raise BusUnavailable("the bus does not answer")


class MemoryDeliveries:
    """Opening it again delivers again what was not acknowledged."""

    def __init__(self, stored: dict[int, Delivery], arrived: asyncio.Event, answer: object) -> None:
        self._stored = stored
        self._arrived = arrived
        self._answer = answer
        self._read = 0

    async def fetch(self, limit: int, timeout_seconds: float) -> Sequence[Delivery]:
        if callable(self._answer):
            self._answer()
        if not self._unread():
            self._arrived.clear()
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._arrived.wait()
            except TimeoutError:
                return []
        batch = self._unread()[:limit]
        self._read = max((each.sequence for each in batch), default=self._read)
        return batch

    def _unread(self) -> list[Delivery]:
        return [each for number, each in self._stored.items() if number > self._read]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        if callable(self._answer):
            self._answer()
        for delivery in deliveries:
            self._stored.pop(delivery.sequence, None)


async def _rings(queue: asyncio.Queue[str]) -> AsyncIterator[str]:
    while True:
        yield await queue.get()
