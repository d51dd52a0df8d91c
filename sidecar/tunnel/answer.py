"""What a proxy says itself: one line for a reader, also in the status line, as that is all some clients show."""

from typing import Final

import h11

MAX_REASON: Final = 120


def answer(status: int, text: str, **headers: str) -> bytes:
    """A whole answer, after which the connection ends."""
    body = f"{text}\n".encode()
    written = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", str(len(body))),
        ("connection", "close"),
        *((name.replace("_", "-"), value) for name, value in headers.items()),
    ]
    writer = h11.Connection(h11.SERVER)
    head = h11.Response(status_code=status, reason=_reason(text), headers=written)
    return (writer.send(head) or b"") + body


def established() -> bytes:
    """The answer to CONNECT; what follows is the tunnel's."""
    return b"HTTP/1.1 200 Connection established\r\n\r\n"


def _reason(text: str) -> bytes:
    return "".join(each if " " <= each <= "~" else "?" for each in text[:MAX_REASON]).encode()
