"""The runtime's process in the agent's container, as the sidecar sees it through one connection.

`drain` reads the connection and serves everything else from it. What the other side may send is limited by
what was read here, so a flood stops in the agent's own pipe. A lost connection is the runtime's end: the
bridge lets none live without one.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from sidecar.pod.process import GRACE_SECONDS, LOG_BYTES, TAIL_BYTES
from sidecar.wire import frames
from sidecar.wire.frames import CHUNK_BYTES, WINDOW_BYTES, BrokenFrame, Frame, Window, encode

GONE_SECONDS: Final = 8.0
"""After the grace, for the bridge to end what descends from the runtime."""
LINGER_SECONDS: Final = 2.0
"""For last words, after the end."""


class BridgedRuntime:
    """`reader` and `writer` are its output and input; what it complains goes to a bounded log."""

    def __init__(
        self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: Path
    ) -> None:
        self.pid = pid
        self._connection = reader
        self._wire = writer
        self._log = log
        self._window = Window()
        self.reader = _Output(self._used)
        self.writer = _Input(writer, self._window)
        self._tail: deque[bytes] = deque()
        self._code: int | None = None
        self._is_lost = False
        self._exited = asyncio.Event()
        self._gone = asyncio.Event()

    @property
    def how_it_ended(self) -> str:
        if self._code is None:
            lost = "the bridge to the agent's container was lost"
            return lost if self._is_lost else "its output ended while it still ran"
        return f"killed by signal {-self._code}" if self._code < 0 else f"exit code {self._code}"

    def complaints(self) -> str:
        """The last it wrote to standard error."""
        return b"".join(self._tail).decode(errors="replace")[-TAIL_BYTES:]

    async def drain(self) -> None:
        """Reads what comes until the bridge closes; a frame out of place is the end."""
        try:
            with self._log.open("ab", buffering=0) as log:
                room = LOG_BYTES
                while (frame := await frames.read(self._connection)) is not None:
                    if frame.op == "err":
                        self._complained(frame.body)
                        room -= log.write(frame.body[: max(room, 0)])
                    else:
                        self._take(frame)
        except (BrokenFrame, OSError) as error:
            self._tail.append(f"\nthe connection to the bridge broke: {error}".encode())
        finally:
            self._lose()

    async def wait(self) -> None:
        await self._exited.wait()

    async def end(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Asks, then kills it and whatever descends from it. Repeatable."""
        self._order({"op": "end", "grace": grace_seconds})
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds + GONE_SECONDS):
                await self._gone.wait()
                asyncio.get_running_loop().call_later(LINGER_SECONDS, self._wire.transport.abort)
                return
        self._wire.transport.abort()

    def kill(self) -> None:
        """At once, without waiting: for a lost lease."""
        self._order({"op": "kill"})

    def _order(self, header: dict[str, object]) -> None:
        """Not drained: what is before it in the socket is bounded by the window, and the bridge always reads."""
        if not self._is_lost:
            self._wire.write(encode(header))

    def _used(self, count: int) -> None:
        self._order({"op": "more", "bytes": count})

    def _take(self, frame: Frame) -> None:
        match frame.op:
            case "out":
                self.reader.feed(frame.body)
            case "out_end":
                self.reader.end()
            case "more":
                self._window.give(int(frame.number("bytes", most=WINDOW_BYTES)))
            case "exit":
                self._code = _exit_code(frame)
                self._window.close()
                self._exited.set()
            case "gone":
                self._gone.set()
            case other:
                raise BrokenFrame(f"no runtime says {other[:40]!r}")

    def _complained(self, chunk: bytes) -> None:
        self._tail.append(chunk[-TAIL_BYTES:])
        while len(self._tail) > 1 and sum(map(len, self._tail)) > 2 * TAIL_BYTES:
            self._tail.popleft()

    def _lose(self) -> None:
        self._is_lost = True
        self._wire.close()
        self._window.close()
        self.reader.end()
        self._exited.set()
        self._gone.set()


class _Output:
    """Readable. Holds at most a window; every byte read allows another."""

    def __init__(self, used: Callable[[int], None]) -> None:
        self._used = used
        self._held = bytearray()
        self._is_over = False
        self._changed = asyncio.Event()

    async def read(self, n: int = CHUNK_BYTES, /) -> bytes:
        while not self._held and not self._is_over:
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._held[:n])
        del self._held[:n]
        if data:
            self._used(len(data))
        return data

    def feed(self, data: bytes) -> None:
        """Raises BrokenFrame for more than was allowed."""
        if len(self._held) + len(data) > WINDOW_BYTES:
            raise BrokenFrame("more output than was allowed")
        self._held += data
        self._changed.set()

    def end(self) -> None:
        self._is_over = True
        self._changed.set()


class _Input:
    """Writable. Whole writes keep their order, whoever drains."""

    def __init__(self, wire: asyncio.StreamWriter, window: Window) -> None:
        self._wire = wire
        self._window = window
        self._unsent = bytearray()
        self._alone = asyncio.Lock()

    def write(self, data: bytes, /) -> None:
        self._unsent += data

    async def drain(self) -> None:
        async with self._alone:
            while self._unsent:
                count = await self._window.take(min(len(self._unsent), CHUNK_BYTES))
                piece = bytes(self._unsent[:count])
                del self._unsent[:count]
                self._wire.write(encode({"op": "in"}, piece))
                await self._wire.drain()

    def close(self) -> None:
        if not self._wire.is_closing():
            self._wire.write(encode({"op": "in_end"}))


def _exit_code(frame: Frame) -> int:
    code = frame.header.get("code")
    if isinstance(code, bool) or not isinstance(code, int) or not -128 < code < 256:  # noqa: PLR2004 - wait(2)
        raise BrokenFrame("an exit code is a small number")
    return code
