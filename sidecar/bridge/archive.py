"""A zone's paths as one tar stream, out and in, never held whole by anybody.

tarfile blocks, so it runs in a thread at one end of a pipe while this loop carries the other.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final

from sidecar.bridge.files import remove, whole
from sidecar.bridge.packing import Selection, pack
from sidecar.bridge.pipes import Inlet, reading
from sidecar.bridge.unpacking import unpack
from sidecar.wire import frames
from sidecar.wire.frames import CHUNK_BYTES, BrokenFrame, Frame, encode

MAX_CAP_BYTES: Final = 64 * 1024**3


class TooLarge(Exception):
    """The archive is over its cap."""


class CutOff(ValueError):
    """The sender of a stream says why there is no more of it."""


async def packed(selection: Selection, cap_bytes: int) -> AsyncGenerator[bytes]:
    """A tar of what exists of a selection. Raises TooLarge once it is over the cap, OSError."""
    read_end, write_end = os.pipe()
    packing = asyncio.ensure_future(asyncio.to_thread(_pack, write_end, selection))
    try:
        async with reading(os.fdopen(read_end, "rb", buffering=0)) as pipe:
            async for chunk in _capped(_chunks(pipe), cap_bytes):
                yield chunk
        await packing
    finally:
        # Its pipe is closed by now: the thread ends with its next write.
        await asyncio.wait({packing})
        with suppress(BaseException):
            packing.result()


async def unpacked(stream: AsyncIterable[bytes], root: Path, cap_bytes: int) -> None:
    """Extracts into `root`, which must not be there yet, and nowhere else.

    Raises TooLarge, OSError, ValueError for what is no such tar; `root` is then not there.
    """
    await asyncio.to_thread(root.mkdir, mode=0o700, parents=True)
    try:
        await _unpacked(stream, root, cap_bytes)
    except BaseException:
        await asyncio.to_thread(remove, root)
        raise


async def _unpacked(stream: AsyncIterable[bytes], root: Path, cap_bytes: int) -> None:
    read_end, write_end = os.pipe()
    unpacking = asyncio.ensure_future(asyncio.to_thread(_unpack, read_end, root))
    inlet = await Inlet.to(os.fdopen(write_end, "wb", buffering=0))
    try:
        async for chunk in _capped(stream, cap_bytes):
            # Read to its end also when it has failed: its sender hears of that after the last of it.
            if not unpacking.done():
                await inlet.write(chunk)
        inlet.close()
        await asyncio.shield(unpacking)
    finally:
        inlet.abort()
        await asyncio.wait({unpacking})
        with suppress(BaseException):
            unpacking.result()


async def send(asked: Frame, writer: asyncio.StreamWriter) -> None:
    selection, cap = _asked(asked)
    writer.write(encode({}))
    async with aclosing(packed(selection, cap)) as chunks:
        async for chunk in chunks:
            writer.write(encode({"op": "data"}, chunk))
            await writer.drain()
    writer.write(encode({"op": "done"}))


async def receive(asked: Frame, reader: asyncio.StreamReader) -> None:
    root = whole(asked.text("path"))
    await unpacked(data_of(reader), root, int(asked.number("cap", most=MAX_CAP_BYTES)))


async def data_of(reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    """Bodies until `done`. Raises CutOff when the sender gives up, BrokenFrame when it just stops."""
    while (frame := await frames.read(reader)) is not None:
        if "error" in frame.header:
            raise CutOff(frame.text("error"))
        if frame.op == "done":
            return
        if frame.op != "data":
            raise BrokenFrame("a stream holds nothing but data")
        yield frame.body
    raise BrokenFrame("the stream ended before its end")


def _asked(asked: Frame) -> tuple[Selection, int]:
    names, without = asked.texts("names"), asked.texts("without")
    for each in names:
        whole(f"/{each}")
    root, cap = whole(asked.text("path")), int(asked.number("cap", most=MAX_CAP_BYTES))
    return Selection(root=root, names=names, without=without, env=asked.mapping("env")), cap


async def _capped(stream: AsyncIterable[bytes], cap_bytes: int) -> AsyncGenerator[bytes]:
    count = 0
    async for chunk in stream:
        count += len(chunk)
        if count > cap_bytes:
            raise TooLarge(f"more than {cap_bytes} bytes")
        yield chunk


async def _chunks(pipe: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    while chunk := await pipe.read(CHUNK_BYTES):
        yield chunk


def _pack(descriptor: int, selection: Selection) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pack(selection, pipe)


def _unpack(descriptor: int, root: Path) -> None:
    with os.fdopen(descriptor, "rb") as pipe:
        unpack(pipe, root)
        while pipe.read(CHUNK_BYTES):
            pass
