"""What a request to upload-pack asks for, read beside its way to the forge: a clone, a fetch, or only a list.

It names an event and decides nothing, so what cannot be read counts as a fetch.
Format: https://git-scm.com/docs/protocol-v2#_fetch, and the older
https://git-scm.com/docs/pack-protocol#_packfile_negotiation
"""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Final

from sidecar.domain.event import EventType
from sidecar.pod.gitgate.head import HEADER_DIGITS, LENGTH
from sidecar.pod.gitgate.inflation import Inflation

MAX_READ_BYTES: Final = 2 << 20
"""Forty thousand `want` lines, read in well under a second."""
COMMAND: Final = b"command="


class FetchReader:
    """`kind` is the event's, None for what moves no object, e.g. `ls-refs`."""

    def __init__(self, *, content_encoding: str | None) -> None:
        self._gzip = Inflation(is_gzip=True) if content_encoding == "gzip" else None
        self._is_readable = content_encoding in {None, "identity", "gzip"}
        self._buffer = bytearray()
        self._read_bytes = 0
        self._command = b"fetch"
        self._wants = False
        self._has = False

    @property
    def kind(self) -> EventType | None:
        if not self._is_readable or self._has:
            return EventType.GIT_FETCH
        if self._command != b"fetch" or not self._wants:
            return None
        return EventType.GIT_CLONE

    async def watch(self, body: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """`body` unchanged."""
        async for chunk in body:
            self.feed(chunk)
            yield chunk

    def feed(self, chunk: bytes) -> None:
        try:
            for piece in self._opened(chunk):
                if not self._is_readable or self._has:
                    return
                self._take(piece)
        except zlib.error:
            self._is_readable = False

    def _opened(self, chunk: bytes) -> Iterator[bytes]:
        return iter([chunk]) if self._gzip is None else self._gzip.pieces(chunk)

    def _take(self, piece: bytes) -> None:
        self._read_bytes += len(piece)
        self._is_readable = self._read_bytes <= MAX_READ_BYTES
        self._buffer += piece
        while self._is_readable and len(self._buffer) >= HEADER_DIGITS:
            prefix = bytes(self._buffer[:HEADER_DIGITS])
            if not LENGTH.fullmatch(prefix):
                self._is_readable = False
                return
            length = max(
                int(prefix, 16), HEADER_DIGITS
            )  # below four they are marks without content
            if len(self._buffer) < length:
                return
            self._line(bytes(self._buffer[HEADER_DIGITS:length]))
            del self._buffer[:length]

    def _line(self, line: bytes) -> None:
        if line.startswith(COMMAND):
            self._command = line.removeprefix(COMMAND).strip()
        self._wants = self._wants or line.startswith((b"want ", b"want-ref "))
        self._has = self._has or line.startswith(b"have ")
