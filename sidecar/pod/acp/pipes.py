"""What a conversation needs of its runtime: bytes in, bytes out. asyncio's streams are that, and others too."""

from typing import Protocol


class Readable(Protocol):
    async def read(self, n: int = -1, /) -> bytes:
        """At most `n` bytes, at least one; none once the other side has closed."""
        ...


class Writable(Protocol):
    def write(self, data: bytes, /) -> None: ...

    async def drain(self) -> None:
        """Returns when there is room. Raises ConnectionError, OSError when nobody reads any more."""
        ...

    def close(self) -> None: ...
