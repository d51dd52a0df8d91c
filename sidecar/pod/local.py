"""Hands on one machine: the zone's files and processes are this user's own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path

from sidecar import subprocesses
from sidecar.bridge import archive, files
from sidecar.bridge.packing import Selection
from sidecar.bridge.tools import with_own_tools
from sidecar.pod.hands import Finished, ZoneFailed
from sidecar.pod.process import RuntimeProcess
from sidecar.wire.frames import MAX_COMPLAINT_BYTES, MAX_OUTPUT_BYTES


class LocalHands:
    """`state_dir` is where a runtime's process is recorded, for the next activation to end."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    @property
    def python(self) -> str:
        return sys.executable

    async def make_folders(self, *paths: Path) -> None:
        with _translated():
            files.make_folders(paths)

    async def remove(self, path: Path) -> None:
        with _translated():
            await asyncio.to_thread(files.remove, path)

    async def put(self, path: Path, text: str, mode: int) -> None:
        with _translated():
            files.put(path, text.encode(), mode)

    async def exists(self, path: Path) -> bool:
        return await asyncio.to_thread(path.exists)

    async def install(self, part: Path, path: Path) -> None:
        with _translated():
            await asyncio.to_thread(files.install, part, path)

    async def run(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> Finished:
        with _translated(argv[0]):
            process = await subprocesses.start(
                *argv,
                cwd=cwd,
                env=with_own_tools(env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(timeout):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        assert process.returncode is not None
        return Finished(
            code=process.returncode, out=out[:MAX_OUTPUT_BYTES], err=err[-MAX_COMPLAINT_BYTES:]
        )

    async def start(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> RuntimeProcess:
        return await RuntimeProcess.start(
            list(argv), cwd=cwd, env=with_own_tools(env), state_dir=self._state_dir
        )

    async def save(self, selection: Selection, cap_bytes: int) -> AsyncGenerator[bytes]:
        with _translated():
            async with aclosing(archive.packed(selection, cap_bytes)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def restore(self, root: Path, stream: AsyncIterable[bytes], cap_bytes: int) -> None:
        with _translated():
            await archive.unpacked(stream, root, cap_bytes)


@contextmanager
def _translated(what: str = "the agent's zone") -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise ZoneFailed(f"{what}: {error.strerror or error}") from error
    except (ValueError, archive.TooLarge) as error:
        raise ZoneFailed(f"{what}: {error}") from error
