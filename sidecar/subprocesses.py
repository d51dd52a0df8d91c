"""Subprocesses whose end is known when they end.

asyncio's own `wait` returns only when nobody holds the process's pipes any more (before CPython 3.12.4, see
gh-119710): a dead program that left something running in the background would seem alive for as long as that.
"""

import asyncio
from asyncio.subprocess import Process, SubprocessStreamProtocol
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
        self._told = told

    async def wait(self) -> int:
        """The exit code, whoever still holds the pipes."""
        await self._told.has_exited.wait()
        assert self.returncode is not None
        return self.returncode


async def start(*argv: str, **how: Any) -> Program:
    """`how` is as in `asyncio.create_subprocess_exec`. Raises OSError."""
    loop = asyncio.get_running_loop()
    transport, told = await loop.subprocess_exec(lambda: _Told(loop), *argv, **how)
    return Program(transport, told, loop)
