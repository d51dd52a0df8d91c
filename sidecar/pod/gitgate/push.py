"""One push: its head judged, its pack streamed, its last bytes held back until everything allows it.

A pack ends in a checksum, so a forge cannot finish unpacking, and moves no ref, before the held bytes come.
A refusal at the last moment therefore leaves the forge as it was.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from sidecar.domain.attachment import Attachment
from sidecar.domain.errors import X1Error
from sidecar.domain.policy import Decision
from sidecar.pod.gitgate.head import Head
from sidecar.pod.gitgate.scanning import Scanner

HELD_BYTES: Final = 32
"""As long as a SHA-256 trailer; a SHA-1 one is shorter."""


class Denied(Exception):
    """The verdict was no: the exchange with the forge ends without its last bytes."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """`fence` is asked right before the held bytes go; it raises when this session may no longer act."""

    attachment: Attachment
    head: Head
    scanner: Scanner
    fence: Callable[[], Awaitable[None]]

    async def body(self, first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """What the forge is sent. Raises Denied instead of its end."""
        yield self.head.encode()
        held = b""
        async for chunk in _joined(first, rest):
            self.scanner.feed(chunk)
            _require(self.scanner.verdict())
            held += chunk
            if len(held) > HELD_BYTES:
                yield held[:-HELD_BYTES]
                held = held[-HELD_BYTES:]
        try:
            _require(await self.scanner.conclude())
            await self.fence()
        except X1Error as error:
            raise Denied(str(error)) from error
        if held:
            yield held


def _require(decision: Decision) -> None:
    if not decision.allowed:
        raise Denied(decision.reason)


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    if first:
        yield first
    async for chunk in rest:
        yield chunk
