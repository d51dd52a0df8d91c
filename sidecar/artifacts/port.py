"""The artifact store as its users see it: bytes in and out as streams, found again by their sha256.

JetStream's object store (`sidecar.artifacts.jetstream`) and the double (`sidecar.artifacts.memory`) pass the
same contract tests. What is stored is opaque: nobody here opens it. All raise ArtifactsUnavailable.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NewType, Protocol

Digest = NewType("Digest", str)
"""sha256, 64 hex digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """`stored_at` is the last time that this content was put."""

    digest: Digest
    size: int
    stored_at: datetime


class ArtifactStore(Protocol):
    """Memory is constant in every verb, whatever the size."""

    async def put(self, stream: AsyncIterable[bytes], cap_bytes: int) -> Artifact:
        """Nothing is kept unless the stream ends by itself. Raises ArtifactTooLarge above the cap."""
        ...

    def get(self, digest: Digest) -> AsyncGenerator[bytes]:
        """Raises ArtifactUnknown before the first chunk, ArtifactCorrupt after the last. Close it when done."""
        ...

    async def find(self, digest: Digest) -> Artifact | None: ...

    async def list_all(self) -> Sequence[Artifact]: ...

    async def delete(self, digest: Digest, *, stored_before: datetime) -> bool:
        """False when it is not there, or was put again at or after that time: then it stays."""
        ...

    async def sweep(self, *, stored_before: datetime) -> int:
        """Removes what puts that never ended have left; returns how many there were."""
        ...
