"""Subprocesses whose end is known when they end, and whose start can be cancelled.

asyncio's own `wait` returns only when nobody holds the process's pipes any more (before CPython 3.12.4, see
gh-119710): a dead program that left something running in the background would seem alive for as long as that. For
the same reason whoever was cancelled while asyncio connects the pipes of a new program would wait for ever.
"""

import asyncio
import os
import signal
from asyncio.subprocess import Process, SubprocessStreamProtocol
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

LIMIT: Final = 64 * 1024
"""What a reader buffers before the program has to wait: asyncio's own default."""


class _Told(SubprocessStreamProtocol):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=LIMIT, loop=loop)
        self.has_exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.has_exited.set()


class Program(Process):
    def __init__(
        self, transport: asyncio.SubprocessTransport, told: _Told, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(transport, told, loop)
        self._pipes = transport
        self._told = told

    def close(self) -> None:
        """Its pipes, whoever else holds them."""
        self._pipes.close()

    async def wait(self) -> int:
        """The exit code, whoever still holds the pipes."""
        await self._told.has_exited.wait()
        assert self.returncode is not None
        return self.returncode


async def kill(program: Process) -> None:
    """With its group, where it leads one."""
    with suppress(ProcessLookupError):
        program.kill()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)
    await program.wait()


async def start(
    *argv: str, end: Callable[[Program], Awaitable[None]] = kill, **how: Any
) -> Program:
    """`how` is as in `asyncio.create_subprocess_exec`. Raises OSError.

    A caller that is cancelled meanwhile is so once `end` has ended the program.
    """
    starting = asyncio.ensure_future(_start(argv, how))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting})
        with suppress(OSError):
            program = starting.result()
            await end(program)
            program.close()
        raise


async def _start(argv: tuple[str, ...], how: dict[str, Any]) -> Program:
    loop = asyncio.get_running_loop()
    transport, told = await loop.subprocess_exec(lambda: _Told(loop), *argv, **how)
    return Program(transport, told, loop)
