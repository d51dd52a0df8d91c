"""A pack read as it passes: every object is inflated in pieces and dropped, but for those that a keeper wants.

Memory is one piece, whatever the pack announces. What is not a pack, or would inflate without end, is told by
BadPack. Format: https://git-scm.com/docs/pack-format
"""

import zlib
from collections.abc import Generator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from sidecar.pod.gitgate.bytestream import ByteStream
from sidecar.pod.gitgate.inflation import Inflation

MAX_OBJECTS: Final = 1_000_000
WINDOW: Final = 4096
"""Input given to zlib at once. Most objects are smaller, and what zlib leaves over is copied."""
MAX_DIGITS: Final = 9
"""Seven bits a byte: sizes and distances up to 2**60."""
MORE: Final = 0x80
MIB: Final = 1 << 20


class BadPack(Exception):
    """A pack that is not passed on. The text is for the one who pushes."""


class Kind(IntEnum):
    """The four whole objects and the two kinds of delta."""

    COMMIT = 1
    TREE = 2
    BLOB = 3
    TAG = 4
    OFS_DELTA = 6
    REF_DELTA = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`size` is that of the inflated bytes; `base` is a delta's: an offset in this pack, or an object's id."""

    offset: int
    kind: Kind
    size: int
    base: int | str | None = None


class Keeper(Protocol):
    """Chooses the objects that are worth their memory. Both verbs may raise BadPack."""

    def wants(self, entry: Entry) -> bool: ...

    def keep(self, entry: Entry, content: bytes) -> None:
        """Gets what it wanted, inflated; a delta comes as a delta."""
        ...


class PackReader:
    """Fed with a pack in chunks of any size. `is_whole` once its checksum was read and is right."""

    def __init__(self, keeper: Keeper, *, object_format: str, max_inflated_bytes: int) -> None:
        self._stream = ByteStream(object_format)
        self._keeper = keeper
        self._max_inflated_bytes = max_inflated_bytes
        self._inflated_bytes = 0
        self._steps = self._read()
        self.is_whole = False
        next(self._steps)

    def feed(self, chunk: bytes) -> None:
        """Raises BadPack, after which nothing may be fed."""
        if not chunk:
            return
        if self.is_whole:
            raise BadPack("the pack goes on after its checksum")
        self._stream.put(chunk)
        try:
            self._steps.send(None)
        except StopIteration:
            self.is_whole = True
            if self._stream.has_more:
                raise BadPack("the pack goes on after its checksum") from None
        except zlib.error as error:
            raise BadPack("the pack is damaged: an object does not inflate") from error

    def _read(self) -> Generator[None]:
        for _ in range((yield from self._count())):
            entry = yield from self._entry()
            content = yield from self._inflate(entry.size, is_kept=self._keeper.wants(entry))
            if content is not None:
                self._keeper.keep(entry, content)
        expected = self._stream.digest()
        if (yield from self._stream.take(len(expected))) != expected:
            raise BadPack("the pack is damaged: its checksum is wrong")

    def _count(self) -> Generator[None, None, int]:
        head = yield from self._stream.take(12)
        version, count = int.from_bytes(head[4:8]), int.from_bytes(head[8:])
        if head[:4] != b"PACK" or version not in {2, 3}:
            raise BadPack("what was pushed is not a pack")
        if count > MAX_OBJECTS:
            raise BadPack(f"the pack has more than {MAX_OBJECTS:,} objects; push in smaller steps")
        return count

    def _entry(self) -> Generator[None, None, Entry]:
        offset = self._stream.position
        first = yield from self._byte()
        size = first & 0x0F
        if first & MORE:
            size |= (yield from self._little()) << 4
        self._count_inflated(size)
        kind = _kind((first >> 4) & 7)
        base: int | str | None = None
        if kind is Kind.OFS_DELTA:
            base = offset - (yield from self._distance())
        elif kind is Kind.REF_DELTA:
            base = (yield from self._stream.take(self._stream.id_bytes)).hex()
        if isinstance(base, int) and not 0 < base < offset:
            raise BadPack("the pack is damaged: a delta's base lies outside of it")
        return Entry(offset=offset, kind=kind, size=size, base=base)

    def _count_inflated(self, size: int) -> None:
        self._inflated_bytes += size
        if self._inflated_bytes > self._max_inflated_bytes:
            allowed = self._max_inflated_bytes // MIB
            raise BadPack(f"the push is larger than {allowed} MiB when it is inflated")

    def _inflate(self, size: int, *, is_kept: bool) -> Generator[None, None, bytes | None]:
        """Content only when it is kept. Never more than one piece beside it."""
        inflation = Inflation()
        kept = bytearray()
        seen = 0
        while not inflation.is_over:
            data = yield from self._stream.some(WINDOW)
            for piece in inflation.pieces(data):
                seen += len(piece)
                if seen > size:
                    raise BadPack("the pack is damaged: an object is longer than it says")
                if is_kept:
                    kept += piece
        if seen != size:
            raise BadPack("the pack is damaged: an object is shorter than it says")
        self._stream.give_back(inflation.left_over)
        return bytes(kept) if is_kept else None

    def _byte(self) -> Generator[None, None, int]:
        return (yield from self._stream.take(1))[0]

    def _little(self) -> Generator[None, None, int]:
        """A number whose lowest bits come first."""
        number = 0
        for digit in range(MAX_DIGITS):
            byte = yield from self._byte()
            number |= (byte & 0x7F) << (7 * digit)
            if not byte & MORE:
                return number
        raise BadPack("the pack is damaged: a number does not end")

    def _distance(self) -> Generator[None, None, int]:
        """A number whose highest bits come first; each further byte also adds one to what came before."""
        number = -1
        for _ in range(MAX_DIGITS):
            byte = yield from self._byte()
            number = ((number + 1) << 7) | (byte & 0x7F)
            if not byte & MORE:
                return number
        raise BadPack("the pack is damaged: a number does not end")


def _kind(number: int) -> Kind:
    try:
        return Kind(number)
    except ValueError:
        raise BadPack(f"the pack is damaged: no object is of type {number}") from None
