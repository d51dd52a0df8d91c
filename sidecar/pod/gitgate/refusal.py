"""Saying no so that `git push` shows it: report-status lines, and a text on the side band."""

from collections.abc import Sequence
from typing import Final

from sidecar.pod.gitgate.head import FLUSH, Head, packet

BAND_REPORT: Final = b"\x01"
BAND_TEXT: Final = b"\x02"
MAX_PIECE: Final = 65000


def report(head: Head, reasons: Sequence[str], text: str, unpack: str = "ok") -> bytes:
    """The body of a 200 answer to a push that was refused; one reason a ref, in the head's order.

    `unpack` is what became of the whole: https://git-scm.com/docs/pack-protocol#_report_status
    """
    lines = [packet(f"unpack {_one_line(unpack)}\n".encode())]
    for update, reason in zip(head.updates, reasons, strict=True):
        lines.append(packet(f"ng {update.ref} {_one_line(reason)}\n".encode()))
    status = b"".join(lines) + FLUSH
    if "side-band-64k" not in head.capabilities:
        return status
    told = "".join(f"x1: {line}\n" for line in text.splitlines())
    return b"".join(
        [
            packet(BAND_TEXT + told.encode()[:MAX_PIECE]),
            packet(BAND_REPORT + status[:MAX_PIECE]),
            FLUSH,
        ]
    )


def _one_line(reason: str) -> str:
    return " ".join(reason.split())[:200]


def refused_refs(body: bytes) -> list[str]:
    """The refs that the forge refused, from its own answer: what a client shows as rejected."""
    return [
        line.split(b" ")[1].decode(errors="replace")
        for line in _lines(body)
        if line.startswith(b"ng ") and line.count(b" ") >= 1
    ]


def _lines(body: bytes) -> list[bytes]:
    found: list[bytes] = []
    position = 0
    while position + 4 <= len(body):
        try:
            length = int(body[position : position + 4], 16)
        except ValueError:
            return found
        if length < 4:  # noqa: PLR2004 - a flush or a delimiter
            position += 4
            continue
        content = body[position + 4 : position + length]
        if content[:1] == BAND_REPORT:
            found.extend(_lines(content[1:]))
        elif content[:1] not in {BAND_TEXT, b"\x03"}:
            found.append(content.rstrip(b"\n"))
        position += length
    return found
