"""Lines from a hostile pipe: bounded in length, read no faster than they are used."""

from collections.abc import AsyncIterator
from typing import Final

from sidecar.pod.acp.pipes import Readable

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Real agents send whole files in one line; what is longer is an attack or a bug."""
CHUNK_BYTES: Final = 64 * 1024


class Oversize:
    """Stands where a line was too long; its content is gone."""


async def lines(
    stream: Readable, limit: int = MAX_LINE_BYTES
) -> AsyncIterator[bytes | type[Oversize]]:
    """Whole lines without their end, until the stream ends. An overlong one yields Oversize once."""
    pending = bytearray()
    is_skipping = False
    while chunk := await stream.read(CHUNK_BYTES):
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            pending += piece
            if not is_skipping:
                yield bytes(pending)
            pending.clear()
            is_skipping = False
        pending += rest
        if len(pending) > limit:
            if not is_skipping:
                yield Oversize
            is_skipping = True
        if is_skipping:
            pending.clear()
