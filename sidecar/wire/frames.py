"""What the sidecar and the bridge in the agent's container say to each other, over a Unix socket.

One connection is one operation. A frame is two lengths (header, body; four bytes each, big-endian), a
JSON object with at least `op` or an answer's fields, and bytes. Each side takes the other for hostile: lengths are
checked before anything is read, and a stream is sent only as far as its reader has allowed.

    put      path mode + body                          → {}
    folders  paths                                     → {}
    remove   path                                      → {}
    exists   path                                      → {exists}
    install  part path                                 → {}
    run      argv cwd env timeout                      → {code, out} + both outputs, `out` bytes of the first
    start    argv cwd env                              → {pid}, then
             in (body) · in_end · more bytes · end grace · kill             from the sidecar
             out (body) · out_end · err (body) · more bytes · exit code · gone   from the bridge
    save     path names without env cap                → {}, then data (body) … done
    restore  path cap, then data (body) … done | error → {}

`{"error": text}` answers what failed. A closed connection ends whatever it had started. Standard library alone:
the bridge must start at once.
"""

import asyncio
import json
import struct
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sidecar.domain.errors import X1Error

MAX_HEADER_BYTES: Final = 256 * 1024
"""An argv, an environment and the list of repositories fit."""
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
CHUNK_BYTES: Final = 64 * 1024
WINDOW_BYTES: Final = 1024 * 1024
"""So much of a stream may be under way, unread by whom it is for."""
MAX_OUTPUT_BYTES: Final = 1024 * 1024
"""Of what a program run to its end prints; of its complaints, a sixteenth."""
MAX_COMPLAINT_BYTES: Final = MAX_OUTPUT_BYTES // 16
_LENGTHS: Final = struct.Struct(">II")
_T = TypeVar("_T")


class BrokenFrame(X1Error):
    """What came is no frame, or one that nobody may send."""

    code = "broken_frame"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    header: dict[str, Any]
    body: bytes = b""

    @property
    def op(self) -> str:
        return self.text("op")

    def text(self, name: str) -> str:
        """This and its neighbours raise BrokenFrame for a field that is absent or of another type."""
        return _checked(name, self.header.get(name), str)

    def number(self, name: str, *, most: float) -> float:
        value = self.header.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise BrokenFrame(f"{name} is no number from 0 to {most:g}")
        return value

    def texts(self, name: str) -> list[str]:
        values = _checked(name, self.header.get(name), list)
        return [_checked(name, each, str) for each in values]

    def mapping(self, name: str) -> dict[str, str]:
        values = _checked(name, self.header.get(name), dict)
        return {_checked(name, k, str): _checked(name, v, str) for k, v in values.items()}


def encode(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Raises BrokenFrame for what the other side would refuse."""
    head = json.dumps(header, ensure_ascii=True).encode()
    _measure(len(head), len(body))
    return _LENGTHS.pack(len(head), len(body)) + head + body


async def read(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame, None when the other side has closed between two. Raises BrokenFrame, OSError."""
    try:
        head, size = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
        _measure(head, size)
        header = _parsed(await reader.readexactly(head))
        return Frame(header=header, body=await reader.readexactly(size))
    except asyncio.IncompleteReadError as error:
        if error.partial or error.expected != _LENGTHS.size:
            raise BrokenFrame("the connection ended within a frame") from error
        return None


class Window:
    """How much of a stream its reader allows to be sent. `close` ends every wait with ConnectionResetError."""

    def __init__(self, size: int = WINDOW_BYTES) -> None:
        self._left = self._size = size
        self._is_closed = False
        self._changed = asyncio.Event()

    async def take(self, wanted: int) -> int:
        """Waits until something may be sent; so much of `wanted` is then the caller's."""
        while not self._left and not self._is_closed:
            self._changed.clear()
            await self._changed.wait()
        if self._is_closed:
            raise ConnectionResetError("nobody reads this stream any more")
        taken = min(wanted, self._left)
        self._left -= taken
        return taken

    def give(self, count: int) -> None:
        """Raises BrokenFrame for more than was ever taken."""
        if self._left + count > self._size:
            raise BrokenFrame("more is allowed than was sent")
        self._left += count
        self._changed.set()

    def close(self) -> None:
        self._is_closed = True
        self._changed.set()


def _measure(head: int, size: int) -> None:
    if head > MAX_HEADER_BYTES or size > MAX_BODY_BYTES:
        raise BrokenFrame(
            f"a frame of {head} + {size} bytes; at most {MAX_HEADER_BYTES} + {MAX_BODY_BYTES} are taken"
        )


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        return _checked("a header", json.loads(text), dict)
    except (ValueError, RecursionError) as error:
        raise BrokenFrame("a header is no JSON") from error


def _checked(name: str, value: Any, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise BrokenFrame(f"{name} is no {kind.__name__}")
    return value
