"""Two connections made one: bytes both ways in constant memory, until both sides have ended or a limit is met."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

CHUNK_BYTES: Final = 64 * 1024

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`max_bytes` counts both directions together."""

    idle_seconds: float
    life_seconds: float
    max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`ending` is `closed`, or which limit or side broke it off."""

    ending: str
    sent_bytes: int
    received_bytes: int


class _TooMuch(Exception):
    pass


class _Traffic:
    def __init__(self, limits: Limits, moved: Callable[[], None]) -> None:
        self._max = limits.max_bytes
        self._moved = moved
        self.sent = self.received = 0

    def count(self, size: int, *, is_sent: bool) -> None:
        if is_sent:
            self.sent += size
        else:
            self.received += size
        if self.sent + self.received > self._max:
            raise _TooMuch
        self._moved()


async def join(client: Connection, server: Connection, limits: Limits) -> Outcome:
    """Closes neither: who opened them does."""
    loop = asyncio.get_running_loop()
    life = asyncio.timeout(limits.life_seconds)
    idle = asyncio.timeout(limits.idle_seconds)

    def moved() -> None:
        idle.reschedule(loop.time() + limits.idle_seconds)

    traffic, ending = _Traffic(limits, moved), "closed"
    try:
        async with life, idle, asyncio.TaskGroup() as tasks:
            tasks.create_task(_copy(client[0], server[1], traffic, is_sent=True), name="sent")
            tasks.create_task(_copy(server[0], client[1], traffic, is_sent=False), name="received")
    except* _TooMuch:
        ending = "too much"
    except* OSError:  # TimeoutError is one
        ending = _broken(life, idle)
    return Outcome(ending=ending, sent_bytes=traffic.sent, received_bytes=traffic.received)


def _broken(life: asyncio.Timeout, idle: asyncio.Timeout) -> str:
    if life.expired():
        return "overdue"
    return "idle" if idle.expired() else "broken off"


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, traffic: _Traffic, *, is_sent: bool
) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        traffic.count(len(chunk), is_sent=is_sent)
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
