"""Artifacts in memory: the double that passes the same contract tests as JetStream's object store."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from datetime import UTC, datetime

from sidecar.artifacts.port import Artifact, Digest
from sidecar.domain.errors import (
    ArtifactCorrupt,
    ArtifactsUnavailable,
    ArtifactTooLarge,
    ArtifactUnknown,
)

CHUNK_BYTES = 64 * 1024


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryArtifacts:
    """`is_away` makes every call raise ArtifactsUnavailable, as a server that is down does."""

    def __init__(self, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now
        self._held: dict[Digest, tuple[Artifact, bytes]] = {}
        self.is_away = False

    async def put(self, stream: AsyncIterable[bytes], cap_bytes: int) -> Artifact:
        self._answer()
        content = bytearray()
        async for chunk in stream:
            content += chunk
            if len(content) > cap_bytes:
                raise ArtifactTooLarge.than(cap_bytes)
        self._answer()
        digest = Digest(hashlib.sha256(content).hexdigest())
        artifact = Artifact(digest=digest, size=len(content), stored_at=self._now())
        self._held[digest] = artifact, bytes(content)
        return artifact

    async def get(self, digest: Digest) -> AsyncGenerator[bytes]:
        self._answer()
        if digest not in self._held:
            raise ArtifactUnknown(f"no artifact {digest}")
        _, content = self._held[digest]
        for at in range(0, len(content), CHUNK_BYTES):
            yield content[at : at + CHUNK_BYTES]
        if hashlib.sha256(content).hexdigest() != digest:
            raise ArtifactCorrupt(f"artifact {digest} is not what was stored")

    async def find(self, digest: Digest) -> Artifact | None:
        self._answer()
        found = self._held.get(digest)
        return found[0] if found else None

    async def list_all(self) -> Sequence[Artifact]:
        self._answer()
        return [artifact for artifact, _ in self._held.values()]

    async def delete(self, digest: Digest, *, stored_before: datetime) -> bool:
        self._answer()
        found = self._held.get(digest)
        if found is None or found[0].stored_at >= stored_before:
            return False
        del self._held[digest]
        return True

    async def sweep(self, *, stored_before: datetime) -> int:  # noqa: ARG002 - nothing half-stored is held
        self._answer()
        return 0

    def damage(self, digest: Digest) -> None:
        """What a disk may do."""
        artifact, content = self._held[digest]
        self._held[digest] = artifact, content[:-1] + b"?"

    def _answer(self) -> None:
        if self.is_away:
            raise ArtifactsUnavailable("the artifact store does not answer")
