"""The scanner that pushes pass: within the cap, a whole and undamaged pack, and no force."""

from typing import Final

from sidecar.domain.attachment import Attachment
from sidecar.domain.policy import Decision, deny
from sidecar.pod.gitgate import ancestry
from sidecar.pod.gitgate.ancestry import IsAncestor
from sidecar.pod.gitgate.commits import Commits, Nothing
from sidecar.pod.gitgate.head import Head
from sidecar.pod.gitgate.pack import BadPack, PackReader
from sidecar.pod.gitgate.scanning import SizeScanner

INFLATED_TIMES: Final = 4
"""A pack of source code inflates to about this many times its length; the attachment's cap is for the pack."""
SHA256_DIGITS: Final = 64


class PackScanner:
    def __init__(self, attachment: Attachment, head: Head, *, is_ancestor: IsAncestor) -> None:
        self._head = head
        self._is_ancestor = is_ancestor
        self._size = SizeScanner(attachment, head)
        object_format = _object_format(head)
        needs_proof = any(ancestry.needs_proof(each) for each in head.updates)
        self._commits = Commits(object_format) if needs_proof else None
        self._reader = PackReader(
            self._commits or Nothing(),
            object_format=object_format,
            max_inflated_bytes=INFLATED_TIMES * attachment.max_pack_bytes,
        )
        self._refused: Decision | None = None

    def feed(self, chunk: bytes) -> None:
        """A pack that was refused is not read on."""
        self._size.feed(chunk)
        if self._refused is not None:
            return
        try:
            self._reader.feed(chunk)
        except BadPack as bad:
            self._refused = deny(str(bad))

    def verdict(self) -> Decision:
        return self._refused or self._size.verdict()

    async def conclude(self) -> Decision:
        decision = self.verdict()
        if not decision.allowed:
            return decision
        if not self._reader.is_whole:
            return deny("the pack ends too early")
        if self._commits is None:
            return decision
        return await ancestry.decide(self._head, self._commits, self._is_ancestor)


def _object_format(head: Head) -> str:
    """By the ids' length: what a client says of it is only said."""
    return "sha256" if len(head.updates[0].new) == SHA256_DIGITS else "sha1"
