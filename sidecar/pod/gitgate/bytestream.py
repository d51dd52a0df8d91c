"""Bytes that arrive in chunks, read as if they were all there: a reader is a generator that pauses for more."""

import hashlib
from collections.abc import Generator


class ByteStream:
    """`put` a chunk only while the reader pauses, which it does when everything before is taken."""

    def __init__(self, object_format: str) -> None:
        self._hash = hashlib.new(object_format, usedforsecurity=False)
        self.id_bytes = self._hash.digest_size
        self._chunk = b""
        self._at = 0
        self._before = 0

    @property
    def position(self) -> int:
        """How many bytes were taken since the beginning."""
        return self._before + self._at

    @property
    def has_more(self) -> bool:
        return self._at < len(self._chunk)

    def put(self, chunk: bytes) -> None:
        self._hash.update(self._chunk)
        self._before += len(self._chunk)
        self._chunk, self._at = chunk, 0

    def digest(self) -> bytes:
        """Of everything taken so far."""
        taken = self._hash.copy()
        taken.update(self._chunk[: self._at])
        return taken.digest()

    def some(self, most: int) -> Generator[None, None, bytes]:
        """One to `most` bytes, from one chunk."""
        while not self.has_more:
            yield
        taken = self._chunk[self._at : self._at + most]
        self._at += len(taken)
        return taken

    def take(self, count: int) -> Generator[None, None, bytes]:
        """Exactly `count` bytes."""
        taken = yield from self.some(count)
        while len(taken) < count:
            taken += yield from self.some(count - len(taken))
        return taken

    def give_back(self, count: int) -> None:
        """The last `count` bytes that `some` gave are taken again by the next reader."""
        self._at -= count
