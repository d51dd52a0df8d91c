"""Pipes of a child as streams of this loop."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import IO

from sidecar.wire.frames import CHUNK_BYTES


@asynccontextmanager
async def reading(pipe: IO[bytes]) -> AsyncGenerator[asyncio.StreamReader]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=CHUNK_BYTES)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        yield reader
    finally:
        transport.close()


class Inlet(asyncio.BaseProtocol):
    """A pipe to write to. What its reader has closed swallows everything."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    @classmethod
    async def to(cls, pipe: IO[bytes]) -> "Inlet":
        _, inlet = await asyncio.get_running_loop().connect_write_pipe(cls, pipe)
        return inlet

    async def write(self, data: bytes) -> None:
        """Returns once the pipe has room for more."""
        if self._transport is not None:
            self._transport.write(data)
            await self._may_write.wait()

    def close(self) -> None:
        """After what was written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.set_write_buffer_limits(high=CHUNK_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._may_write.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()
