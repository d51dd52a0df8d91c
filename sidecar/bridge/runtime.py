"""One life of the runtime, at the other end of one connection.

It never outlives its connection: who holds that has a lease, and a runtime without one must not act. Reading
from the connection waits for nothing, so that an order to kill is never stuck behind a prompt.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import IO, Final

from sidecar.bridge.children import Child
from sidecar.bridge.pipes import Inlet, reading
from sidecar.wire import frames
from sidecar.wire.frames import CHUNK_BYTES, WINDOW_BYTES, BrokenFrame, Frame, Window, encode

MAX_GRACE_SECONDS: Final = 60.0
LAST_WORDS_SECONDS: Final = 2.0

EndFamily = Callable[[], Awaitable[None]]


class Life:
    """Runs until the sidecar asks for the end, or is gone; the process is then gone too."""

    def __init__(
        self,
        child: Child,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        end_family: EndFamily,
    ) -> None:
        self._child = child
        self._reader = reader
        self._writer = writer
        self._end_family = end_family
        self._is_asked = asyncio.Event()
        self._is_urgent = asyncio.Event()
        self._grace_seconds = 0.0
        self._window = Window()
        self._typed: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._untyped = WINDOW_BYTES

    def ask(self, grace_seconds: float) -> None:
        """Ends it as the sidecar may: SIGTERM, and SIGKILL after the grace."""
        self._grace_seconds = grace_seconds
        self._is_asked.set()

    def kill(self) -> None:
        self._child.signal_group(signal.SIGKILL)
        self._is_urgent.set()
        self._is_asked.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            last_words = {
                tasks.create_task(self._carry_output(), name="stdout"),
                tasks.create_task(self._carry_complaints(), name="stderr"),
                tasks.create_task(self._tell_exit(), name="exit"),
            }
            others = [
                tasks.create_task(self._obey(), name="orders"),
                tasks.create_task(self._type(), name="stdin"),
            ]
            try:
                await self._is_asked.wait()
                await self._end()
            finally:
                self._child.signal_group(signal.SIGKILL)
                await asyncio.shield(self._end_family())
                await self._send({"op": "gone"})
                # The dead are no family any more before they are reaped, and how they died is known.
                await asyncio.wait(last_words, timeout=LAST_WORDS_SECONDS)
                for each in (*last_words, *others):
                    each.cancel()

    async def _end(self) -> None:
        self._typed.put_nowait(None)
        self._child.signal_group(signal.SIGTERM)
        urgent = asyncio.ensure_future(self._is_urgent.wait())
        try:
            await asyncio.wait(
                {urgent, self._child.exited},
                timeout=self._grace_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            urgent.cancel()

    async def _obey(self) -> None:
        try:
            while (frame := await frames.read(self._reader)) is not None:
                self._take(frame)
        except (BrokenFrame, OSError):
            return
        finally:
            self._window.close()
            self.kill()

    def _take(self, frame: Frame) -> None:
        match frame.op:
            case "in":
                self._untyped -= len(frame.body)
                if self._untyped < 0:
                    raise BrokenFrame("more input than was allowed")
                self._typed.put_nowait(frame.body)
            case "in_end":
                self._typed.put_nowait(None)
            case "more":
                self._window.give(int(frame.number("bytes", most=WINDOW_BYTES)))
            case "end":
                self.ask(frame.number("grace", most=MAX_GRACE_SECONDS))
            case "kill":
                self.kill()
            case other:
                raise BrokenFrame(f"nobody asks a runtime for {other[:40]!r}")

    async def _type(self) -> None:
        assert self._child.stdin is not None
        inlet = await Inlet.to(self._child.stdin)
        try:
            while (data := await self._typed.get()) is not None:
                await inlet.write(data)
                self._untyped += len(data)
                await self._send({"op": "more", "bytes": len(data)})
            inlet.close()
        except asyncio.CancelledError:
            inlet.abort()
            raise

    async def _carry_output(self) -> None:
        with suppress(ConnectionResetError):
            async with reading(self._child.stdout) as pipe:
                while data := await self._read_allowed(pipe):
                    await self._send({"op": "out"}, data)
        await self._send({"op": "out_end"})

    async def _read_allowed(self, pipe: asyncio.StreamReader) -> bytes:
        allowed = await self._window.take(CHUNK_BYTES)
        data = await pipe.read(allowed)
        self._window.give(allowed - len(data))
        return data

    async def _carry_complaints(self) -> None:
        await self._carry(self._child.stderr)

    async def _carry(self, source: IO[bytes]) -> None:
        async with reading(source) as pipe:
            while data := await pipe.read(CHUNK_BYTES):
                await self._send({"op": "err"}, data)

    async def _tell_exit(self) -> None:
        code = await asyncio.shield(self._child.exited)
        await self._send({"op": "exit", "code": code})

    async def _send(self, header: dict[str, object], body: bytes = b"") -> None:
        """To a sidecar that is gone: nothing."""
        with suppress(OSError):
            self._writer.write(encode(header, body))
            await self._writer.drain()
