"""This session's bus: its own events out, its own doorbell in, with credentials that each renewal replaces.

The connection is made when it is first needed and made again when it is gone; who publishes repeats, who
listens looks for wakes on each connection. So a bus that is away costs time, never a wake or an event.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, Self

from sidecar.bus.port import Bus
from sidecar.domain.errors import BusUnavailable, X1Error
from sidecar.domain.ids import SessionId
from sidecar.logs import redactor
from sidecar.wire.claim import BusAccess

CONNECT_SECONDS: Final = 10.0
PUBLISH_SECONDS: Final = 15.0

Access = Callable[[], BusAccess]
Connect = Callable[[Access], Awaitable[Bus]]
"""Asks for the newest credentials at each (re)connection. Raises BusUnavailable."""


class SessionBus:
    def __init__(self, session_id: str, access: BusAccess, connect: Connect) -> None:
        self._session_id = SessionId(session_id)
        self._access = access
        self._connect = connect
        self._bus: Bus | None = None
        self._lock = asyncio.Lock()
        self.use(access)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._bus is not None:
            with suppress(X1Error, TimeoutError):
                async with asyncio.timeout(2):
                    await self._bus.aclose()

    def use(self, access: BusAccess) -> None:
        """From the next connection on."""
        redactor.forget(self._access.user_seed.get_secret_value())
        self._access = access
        redactor.learn(access.user_seed.get_secret_value())

    async def publish(self, body: bytes, message_id: str) -> None:
        """Raises BusUnavailable."""
        bus = await self._connected()
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await bus.publish_events(self._session_id, body, message_id)
        except TimeoutError as error:
            raise BusUnavailable(f"no acknowledgement within {PUBLISH_SECONDS:g} s") from error

    @asynccontextmanager
    async def doorbell(self) -> AsyncGenerator[AsyncIterator[str]]:
        """Raises BusUnavailable."""
        bus = await self._connected()
        async with bus.doorbell(self._session_id) as bells:
            yield bells

    async def _connected(self) -> Bus:
        async with self._lock:
            if self._bus is None:
                try:
                    async with asyncio.timeout(CONNECT_SECONDS):
                        self._bus = await self._connect(lambda: self._access)
                except TimeoutError as error:
                    raise BusUnavailable(f"no connection within {CONNECT_SECONDS:g} s") from error
            return self._bus


async def connect_nats(access: Access) -> Bus:
    from sidecar.bus.nats import connect_session  # noqa: PLC0415 - a quarter of a second, once

    return await connect_session(access)
