"""Running one command of hostile code or of git: its own process group, bounded in time and in words.

A shell beside it holds the read end of a pipe. When this process dies, however it dies, the kernel closes the
write end, and the shell ends the group: a build does not outlive its flow. The command itself waits behind a gate
until that shell is there.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sidecar import subprocesses
from tasks.builders.errors import BuildFailed

MAX_LINE_BYTES: Final = 2000
MAX_OUTPUT_BYTES: Final = 8 << 20
TAIL: Final = 50
LAST_WORDS_SECONDS: Final = 1.0

LEASH: Final = 'read -r word || kill -9 "-$1"'
"""Ends group `$1`, unless it is told that the command is over."""

GATE: Final = 'read -r word && exec "$@" </dev/null'
"""Becomes the command once it is told to, and nothing when whoever would tell it is gone."""

Say = Callable[[str], None]


async def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    seconds: float,
    say: Say,
) -> None:
    """Every line goes to `say`. Raises BuildFailed with the last lines; leaves no process of the group."""
    tail: deque[str] = deque(maxlen=TAIL)
    if not _is_there(argv[0], cwd, environment):
        raise BuildFailed(f"{argv[0]} cannot be started: there is no such program", tail)
    try:
        async with asyncio.timeout(seconds), _group(argv, cwd, environment) as process:
            code, is_flood = await _follow(process, tail, say)
    except TimeoutError as error:
        raise BuildFailed(f"it took longer than {seconds:g} s", tail) from error
    except OSError as error:
        raise BuildFailed(f"{argv[0]} cannot be started: {error.strerror}", tail) from error
    if is_flood:
        raise BuildFailed(f"it wrote more than {MAX_OUTPUT_BYTES >> 20} MiB", tail)
    if code:
        raise BuildFailed(f"exit {code}", tail)


@asynccontextmanager
async def _group(
    argv: Sequence[str], cwd: Path, environment: Mapping[str, str]
) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await subprocesses.start(
        *("/bin/sh", "-c", GATE, "gate", *argv),
        cwd=cwd,
        env=dict(environment),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with _leashed(process.pid):
            _open(process)
            yield process
    finally:
        _end(process)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await process.wait()


@asynccontextmanager
async def _leashed(group: int) -> AsyncGenerator[None]:
    read_end, write_end = os.pipe()
    try:
        watching = await subprocesses.start(
            "sh", "-c", LEASH, "leash", str(group), stdin=read_end, start_new_session=True
        )
    except BaseException:
        os.close(write_end)
        raise
    finally:
        os.close(read_end)
    try:
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            os.write(write_end, b"over\n")
        os.close(write_end)
        await watching.wait()


def _open(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"open\n")
    process.stdin.close()


def _is_there(program: str, cwd: Path, environment: Mapping[str, str]) -> bool:
    if "/" in program:
        return os.access(cwd / program, os.X_OK)
    return shutil.which(program, path=environment.get("PATH")) is not None


def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _follow(
    process: asyncio.subprocess.Process, tail: deque[str], say: Say
) -> tuple[int, bool]:
    """Exit code, and whether it said too much. A child that keeps the pipe open is not waited for."""
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(_listen(process, tail, say), name="build output")
        code = await process.wait()
        await asyncio.wait([listening], timeout=LAST_WORDS_SECONDS)
        if not listening.done():
            _end(process)
            await asyncio.wait([listening], timeout=LAST_WORDS_SECONDS)
            listening.cancel()
    return code, not listening.cancelled() and listening.result()


async def _listen(process: asyncio.subprocess.Process, tail: deque[str], say: Say) -> bool:
    """Until the output has ended. True when it was more than is listened to: the command is ended then."""
    stream = process.stdout
    assert stream is not None
    heard, rest = 0, b""
    while chunk := await stream.read(64 * 1024):
        heard += len(chunk)
        if heard > MAX_OUTPUT_BYTES:
            _end(process)
            return True
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[:MAX_LINE_BYTES]
        for line in lines:
            _hear(line, tail, say)
    if rest:
        _hear(rest, tail, say)
    return False


def _hear(line: bytes, tail: deque[str], say: Say) -> None:
    text = line[:MAX_LINE_BYTES].decode("utf-8", "replace").replace("\0", "").rstrip()
    tail.append(text)
    say(text)
