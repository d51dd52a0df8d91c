"""Connections of a listening socket, each a task of its own, and no more of them at a time than were asked for."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from sidecar.tunnel.joining import CHUNK_BYTES, Connection

ACCEPT_PAUSE_SECONDS: Final = 0.2
"""After an accept that failed, as it does while there are no descriptors."""
CLOSE_SECONDS: Final = 1.0

Handle = Callable[[Connection], Awaitable[None]]

log = structlog.stdlib.get_logger(__name__)


class Connections:
    """`handle` may raise what it likes: that ends its own connection alone. Over `most`, clients wait."""

    def __init__(self, handle: Handle, *, most: int) -> None:
        self._handle = handle
        self._free = asyncio.Semaphore(most)
        self._accepting: asyncio.Task[None] | None = None

    async def run(self, listener: socket.socket) -> None:
        """Until `no_more` was called and the last one has ended, or until cancelled, which ends them all."""
        async with asyncio.TaskGroup() as tasks:
            self._accepting = tasks.create_task(self._accept(listener, tasks), name="accepting")

    def no_more(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()

    async def _accept(self, listener: socket.socket, tasks: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._free.acquire()
            try:
                peer, _ = await loop.sock_accept(listener)
            except OSError as error:
                self._free.release()
                log.warning("no connection taken", reason=error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            task = tasks.create_task(self._guarded(peer), name="connection")
            task.add_done_callback(lambda _: self._free.release())

    async def _guarded(self, peer: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=peer, limit=CHUNK_BYTES)
        try:
            await self._handle((reader, writer))
        except (OSError, TimeoutError) as error:
            log.info("a connection broke off", reason=type(error).__name__)
        except Exception:
            log.exception("a connection failed")
        finally:
            await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """What was written is sent first, within a second."""
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await writer.wait_closed()
