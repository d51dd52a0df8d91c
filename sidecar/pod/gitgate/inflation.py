"""One zlib stream, opened in pieces of bounded size however small its input is."""

import zlib
from collections.abc import Iterator
from typing import Final

PIECE: Final = 64 * 1024
GZIP: Final = 16 + zlib.MAX_WBITS
"""How zlib is told of gzip's own head and tail."""


class Inflation:
    """Fed until `is_over`; `left_over` is then how many of the last bytes belong to what follows."""

    def __init__(self, *, is_gzip: bool = False) -> None:
        self._zlib = zlib.decompressobj(GZIP if is_gzip else zlib.MAX_WBITS)

    @property
    def is_over(self) -> bool:
        return self._zlib.eof

    @property
    def left_over(self) -> int:
        return len(self._zlib.unused_data)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """All that `data` opens to. Raises zlib.error."""
        while not self._zlib.eof:
            piece = self._zlib.decompress(data, PIECE)
            yield piece
            data = self._zlib.unconsumed_tail
            if not data and len(piece) < PIECE:
                return
