"""Hands in a pod: the agent's container, through its bridge.

Each verb is one connection. A bridge that is away is waited for, as the kubelet starts it again; what was under
way when it went is lost. Whatever answers may be the agent itself, so an answer is checked and bounded.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random_exponential

from sidecar.bridge.archive import CutOff, data_of
from sidecar.bridge.packing import Selection
from sidecar.domain.errors import X1Error
from sidecar.pod.acp.errors import RuntimeExited
from sidecar.pod.bridged_runtime import BridgedRuntime
from sidecar.pod.hands import Finished, ZoneAway, ZoneFailed
from sidecar.wire import frames
from sidecar.wire.frames import (
    CHUNK_BYTES,
    MAX_BODY_BYTES,
    MAX_COMPLAINT_BYTES,
    MAX_OUTPUT_BYTES,
    BrokenFrame,
    Frame,
    encode,
)

PATIENCE_SECONDS: Final = 60.0
"""For a bridge to listen: a container that is started again may be held back so long."""
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 120.0
"""For everything but a program: a big tree takes its time to be removed."""
START_SECONDS: Final = 30.0
MARGIN_SECONDS: Final = 10.0
"""The bridge ends an overdue program itself; this side is the second to lose patience."""
SHOWN_ERROR: Final = 500

Gate = Callable[[], Awaitable[None]]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _open() -> None:
    """No gate."""


class BridgedHands:
    """`gate` is passed before anything of the agent's runs. `log_dir` takes what runtimes complain."""

    def __init__(
        self,
        socket: Path,
        *,
        log_dir: Path,
        gate: Gate = _open,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._socket = socket
        self._log = log_dir / "runtime.log"
        self._gate = gate
        self._connect = retry(
            retry=retry_if_exception_type(ZoneAway),
            wait=wait_random_exponential(multiplier=0.05, max=2),
            stop=stop_after_delay(patience_seconds),
            reraise=True,
        )(self._connect_once)

    @property
    def python(self) -> str:
        """Found on the container's own PATH, from which the bridge was started too."""
        return "python"

    async def make_folders(self, *paths: Path) -> None:
        await self._ask({"op": "folders", "paths": [str(each) for each in paths]})

    async def remove(self, path: Path) -> None:
        await self._ask({"op": "remove", "path": str(path)})

    async def put(self, path: Path, text: str, mode: int) -> None:
        content = text.encode()
        if len(content) > MAX_BODY_BYTES:
            raise ZoneFailed(f"{path.name} has {len(content)} bytes; at most {MAX_BODY_BYTES}")
        await self._ask({"op": "put", "path": str(path), "mode": mode}, content)

    async def exists(self, path: Path) -> bool:
        answer = await self._ask({"op": "exists", "path": str(path)})
        return answer.header.get("exists") is True

    async def install(self, part: Path, path: Path) -> None:
        await self._ask({"op": "install", "part": str(part), "path": str(path)})

    async def run(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> Finished:
        await self._gate()
        asked = {"op": "run", **_program(argv, cwd, env), "timeout": timeout}
        answer = await self._ask(asked, seconds=timeout + MARGIN_SECONDS)
        if answer.header.get("overdue") is True:
            raise TimeoutError
        with _broken_is_away():
            return _finished(answer)

    async def start(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> BridgedRuntime:
        await self._gate()
        reader, writer = await self._connect()
        try:
            with _broken_is_away():
                async with asyncio.timeout(START_SECONDS):
                    await _send(writer, {"op": "start", **_program(argv, cwd, env)})
                    answer = await _answer(reader)
                pid = int(answer.number("pid", most=2**31))
        except ZoneFailed as error:
            writer.close()
            raise RuntimeExited(f"{argv[0]} cannot be started: {error}") from error
        except BaseException:
            writer.close()
            raise
        return BridgedRuntime(pid, reader, writer, self._log)

    async def save(self, selection: Selection, cap_bytes: int) -> AsyncGenerator[bytes]:
        asked = {
            "op": "save",
            "path": str(selection.root),
            "names": list(selection.names),
            "without": list(selection.without),
            "env": dict(selection.env),
            "cap": cap_bytes,
        }
        count = 0
        # Not waited for: when its container is ending too, every second counts.
        async with self._connected(self._connect_once) as (reader, writer):
            await _send(writer, asked)
            await _timely(_answer(reader))
            chunks = data_of(reader)
            while chunk := await _timely(_next(chunks)):
                count += len(chunk)
                if count > cap_bytes:
                    raise ZoneFailed(f"more than {cap_bytes} bytes to save")
                yield chunk

    async def restore(self, root: Path, stream: AsyncIterable[bytes], cap_bytes: int) -> None:
        async with self._connected() as (reader, writer):
            await _send(writer, {"op": "restore", "path": str(root), "cap": cap_bytes})
            try:
                async for chunk in stream:
                    for at in range(0, len(chunk), CHUNK_BYTES):
                        await _timely(_send(writer, {"op": "data"}, chunk[at : at + CHUNK_BYTES]))
            except X1Error as error:
                # So that it is undone there before anybody tries again.
                await _send(writer, {"op": "data", "error": str(error)[:SHOWN_ERROR]})
                with suppress(ZoneFailed):
                    await _timely(_answer(reader))
                raise
            await _send(writer, {"op": "done"})
            await _timely(_answer(reader))

    async def _ask(
        self, header: dict[str, Any], body: bytes = b"", seconds: float = ANSWER_SECONDS
    ) -> Frame:
        async with self._connected() as (reader, writer), asyncio.timeout(seconds):
            await _send(writer, header, body)
            return await _answer(reader)

    @asynccontextmanager
    async def _connected(
        self, connect: Callable[[], Awaitable[Connection]] | None = None
    ) -> AsyncGenerator[Connection]:
        reader, writer = await (connect or self._connect)()
        try:
            with _broken_is_away():
                yield reader, writer
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _connect_once(self) -> Connection:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.open_unix_connection(self._socket)
        except (OSError, TimeoutError) as error:
            raise ZoneAway(f"no bridge listens at {self._socket}") from error


def _program(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> dict[str, Any]:
    return {"argv": list(argv), "cwd": str(cwd), "env": dict(env)}


async def _send(writer: asyncio.StreamWriter, header: dict[str, Any], body: bytes = b"") -> None:
    try:
        frame = encode(header, body)
    except BrokenFrame as error:
        raise ZoneFailed(str(error)) from error
    writer.write(frame)
    await writer.drain()


async def _answer(reader: asyncio.StreamReader) -> Frame:
    """Raises ZoneFailed with the bridge's words, BrokenFrame when it closes instead."""
    frame = await frames.read(reader)
    if frame is None:
        raise BrokenFrame("the bridge closed the connection")
    if "error" in frame.header:
        raise ZoneFailed(_printable(frame.text("error")))
    return frame


def _finished(answer: Frame) -> Finished:
    code, size = answer.header.get("code"), int(answer.number("out", most=MAX_OUTPUT_BYTES))
    if not isinstance(code, int):
        raise BrokenFrame("it names no exit code")
    return Finished(
        code=code, out=answer.body[:size], err=answer.body[size:][-MAX_COMPLAINT_BYTES:]
    )


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text[:SHOWN_ERROR])


async def _next(chunks: AsyncGenerator[bytes]) -> bytes | None:
    try:
        return await anext(chunks, None)
    except CutOff as error:
        raise ZoneFailed(_printable(str(error))) from error


async def _timely(work: Awaitable[Any]) -> Any:
    async with asyncio.timeout(ANSWER_SECONDS):
        return await work


@contextmanager
def _broken_is_away() -> Generator[None]:
    try:
        yield
    except (BrokenFrame, OSError, TimeoutError) as error:
        raise ZoneAway(f"the bridge was lost: {error or 'it did not answer in time'}") from error
