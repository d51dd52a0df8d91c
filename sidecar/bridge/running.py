"""A program run to its end, with bounded outputs: what checks out is git, run this way."""

import asyncio
import signal
from typing import Final

from sidecar.bridge.children import Child, Children
from sidecar.bridge.pipes import reading
from sidecar.wire.frames import CHUNK_BYTES, MAX_COMPLAINT_BYTES, MAX_OUTPUT_BYTES, Frame, encode

MAX_SECONDS: Final = 3600.0
LAST_WORDS_SECONDS: Final = 1.0
"""For outputs that a surviving descendant holds open."""


class Overdue(Exception):
    """The program took longer than it was given, and is dead."""


async def run(children: Children, asked: Frame, spared: set[int]) -> bytes:
    """The answer's frame. `spared` holds the process while it lives. Raises Overdue, OSError, ValueError."""
    seconds = asked.number("timeout", most=MAX_SECONDS)
    child = children.start(
        asked.texts("argv"), asked.text("cwd"), asked.mapping("env"), has_input=False
    )
    spared.add(child.pid)
    out, err = bytearray(), bytearray()
    try:
        async with asyncio.TaskGroup() as tasks:
            ends = {
                tasks.create_task(_keep_first(child, out), name="output"),
                tasks.create_task(_keep_last(child, err), name="complaints"),
            }
            code = await _ended(child, seconds)
            await asyncio.wait(ends, timeout=LAST_WORDS_SECONDS)
            for each in ends:
                each.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
    finally:
        child.signal_group(signal.SIGKILL)
        spared.discard(child.pid)
    return encode({"code": code, "out": len(out)}, bytes(out + err))


async def _ended(child: Child, seconds: float) -> int:
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(child.exited)
    except TimeoutError as error:
        raise Overdue(f"it took over {seconds:g} s") from error


async def _keep_first(child: Child, kept: bytearray) -> None:
    async with reading(child.stdout) as pipe:
        while chunk := await pipe.read(CHUNK_BYTES):
            kept += chunk[: MAX_OUTPUT_BYTES - len(kept)]


async def _keep_last(child: Child, kept: bytearray) -> None:
    async with reading(child.stderr) as pipe:
        while chunk := await pipe.read(CHUNK_BYTES):
            kept += chunk
            del kept[:-MAX_COMPLAINT_BYTES]
