"""The seam for looking into a pack while it passes: its verdict comes before its last bytes are passed on."""

from collections.abc import Callable
from typing import Protocol

from sidecar.domain.attachment import Attachment
from sidecar.domain.policy import Decision, allow, deny
from sidecar.pod.gitgate.head import Head


class Scanner(Protocol):
    def feed(self, chunk: bytes) -> None:
        """Sees every byte of the pack once, in order."""
        ...

    def verdict(self) -> Decision:
        """On what was seen so far; asked after every chunk."""
        ...

    async def conclude(self) -> Decision:
        """On the whole pack; asked once, after its last byte. May ask others, and raises X1Error with them."""
        ...


class SizeScanner:
    """Allows what is no longer than the attachment's cap."""

    def __init__(self, attachment: Attachment, _: Head) -> None:
        self._cap = attachment.max_pack_bytes
        self._seen = 0

    def feed(self, chunk: bytes) -> None:
        self._seen += len(chunk)

    def verdict(self) -> Decision:
        if self._seen > self._cap:
            return deny(f"the push is larger than {self._cap // (1 << 20)} MiB")
        return allow("within the cap")

    async def conclude(self) -> Decision:
        return self.verdict()


MakeScanner = Callable[[Attachment, Head], Scanner]
