"""The bridge's socket: one task a connection, one operation each, one runtime at a time."""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from sidecar.bridge import archive, family, files
from sidecar.bridge.children import Children
from sidecar.bridge.files import PathRefused, whole
from sidecar.bridge.peers import is_welcome
from sidecar.bridge.running import Overdue, run
from sidecar.bridge.runtime import Life
from sidecar.wire import frames
from sidecar.wire.frames import BrokenFrame, Frame, encode

MAX_CONNECTIONS: Final = 16
FIRST_FRAME_SECONDS: Final = 10.0
LAST_RUNTIME_SECONDS: Final = 10.0
"""For the runtime of a sidecar that is gone, before the next may start."""
ACCEPT_PAUSE_SECONDS: Final = 0.2

log = logging.getLogger(__name__)


class Busy(Exception):
    """Another runtime lives."""


class Bridge:
    def __init__(
        self, listener: socket.socket, *, peer_uid: int | None, max_processes: int | None = None
    ) -> None:
        self._listener = listener
        self._peer_uid = peer_uid
        self._children = Children(max_processes=max_processes)
        self._spared: set[int] = set()
        self._alone = asyncio.Lock()
        self._life: Life | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Until cancelled; then connections and what they started are gone."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._accept(tasks)
        finally:
            self._children.close()

    async def end(self, grace_seconds: float) -> None:
        """Ends the runtime, then whatever is left."""
        if self._life is not None:
            self._life.ask(grace_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds + 1):
                    await self._alone.acquire()
        await family.end_all()

    async def _accept(self, tasks: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        try:
            peer, _ = await loop.sock_accept(self._listener)
        except OSError as error:
            log.warning("no connection taken: %s", error.strerror)
            await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
            return
        if len(self._connections) >= MAX_CONNECTIONS or not is_welcome(peer, self._peer_uid):
            log.warning("a connection was refused")
            peer.close()
            return
        task = tasks.create_task(self._guarded(peer), name="connection")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _guarded(self, peer: socket.socket) -> None:
        """Whatever goes wrong with one connection ends that one alone."""
        reader, writer = await asyncio.open_unix_connection(sock=peer)
        try:
            await self._serve(reader, writer)
        except (BrokenFrame, OSError, TimeoutError) as error:
            log.warning("a connection failed: %s", type(error).__name__)
        except Exception as error:
            log.exception("a connection failed")
            # Said, and not just closed: to the sidecar a bridge that goes away is one to wait for.
            writer.write(encode({"error": f"the bridge itself failed: {type(error).__name__}"}))
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(FIRST_FRAME_SECONDS):
            asked = await frames.read(reader)
        if asked is None:
            return
        try:
            await self._operate(asked, reader, writer)
        except Overdue:
            writer.write(encode({"overdue": True}))
        except (OSError, PathRefused, ValueError, Busy, archive.TooLarge) as error:
            writer.write(encode({"error": _worded(error)}))
        await writer.drain()

    async def _operate(
        self, asked: Frame, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match asked.op:
            case "start":
                await self._live(asked, reader, writer)
            case "run":
                writer.write(await _while_connected(reader, self._run(asked)))
            case "save":
                await archive.send(asked, writer)
            case "restore":
                await archive.receive(asked, reader)
                writer.write(encode({}))
            case op if op in _SIMPLE:
                writer.write(encode(await asyncio.to_thread(_SIMPLE[op], asked)))
            case other:
                raise BrokenFrame(f"no operation {other[:40]!r}")

    async def _run(self, asked: Frame) -> bytes:
        return await run(self._children, asked, self._spared)

    async def _live(
        self, asked: Frame, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async with self._one_runtime():
            child = self._children.start(
                asked.texts("argv"), asked.text("cwd"), asked.mapping("env"), has_input=True
            )
            writer.write(encode({"pid": child.pid}))
            self._life = Life(child, reader, writer, self._end_family)
            try:
                await self._life.run()
            finally:
                self._life = None

    @asynccontextmanager
    async def _one_runtime(self) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(LAST_RUNTIME_SECONDS):
                await self._alone.acquire()
        except TimeoutError as error:
            raise Busy("another runtime lives") from error
        try:
            yield
        finally:
            self._alone.release()

    async def _end_family(self) -> None:
        if not await family.end_all(but=self._spared):
            log.error("processes survive their runtime")


async def _while_connected(reader: asyncio.StreamReader, work: Awaitable[bytes]) -> bytes:
    """Nothing comes on this connection any more, so what is read is its end: nobody waits for the work."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise BrokenFrame("the sidecar is gone")
        return working.result()
    finally:
        for each in (working, gone):
            each.cancel()
        await asyncio.wait({working, gone})


def _worded(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said[:500] or type(error).__name__


def _put(asked: Frame) -> dict[str, Any]:
    files.put(whole(asked.text("path")), asked.body, int(asked.number("mode", most=0o777)))
    return {}


def _folders(asked: Frame) -> dict[str, Any]:
    files.make_folders([whole(each) for each in asked.texts("paths")])
    return {}


def _remove(asked: Frame) -> dict[str, Any]:
    files.remove(whole(asked.text("path")))
    return {}


def _exists(asked: Frame) -> dict[str, Any]:
    return {"exists": whole(asked.text("path")).exists()}


def _install(asked: Frame) -> dict[str, Any]:
    files.install(whole(asked.text("part")), whole(asked.text("path")))
    return {}


_SIMPLE: Final[dict[str, Callable[[Frame], dict[str, Any]]]] = {
    "put": _put,
    "folders": _folders,
    "remove": _remove,
    "exists": _exists,
    "install": _install,
}
