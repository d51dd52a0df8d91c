"""A session's state, kept for its next activation: content into the artifact store, its digest into the ledger.

Content is stored first and pointed at afterwards, under the fence: what a replaced activation still sends is
never anybody's state, and is collected later. Nothing here opens it: it is an agent's.
"""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Final

import structlog

from sidecar.artifacts.port import Digest
from sidecar.domain.errors import ArtifactCorrupt, ArtifactTooLarge, ArtifactUnknown
from sidecar.domain.snapshot import Snapshot, SnapshotKind
from sidecar.relay.fence import check, fenced
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.wire.state import ContentAnswer, KeepRequest, SnapshotModel, StateAnswer

NOBODY: Final = "this session has no saved state"

log = structlog.stdlib.get_logger(__name__)


async def store(
    services: Services,
    claims: SessionClaims,
    stream: AsyncIterable[bytes],
    announced_bytes: int | None = None,
) -> ContentAnswer:
    """Raises ArtifactTooLarge, ArtifactsUnavailable, LeaseLost, SessionEnded."""
    await _require_current(services, claims)
    cap = services.settings.state_cap_bytes
    if announced_bytes is not None and announced_bytes > cap:
        raise ArtifactTooLarge.than(cap)
    artifact = await services.artifacts.put(stream, cap)
    return ContentAnswer(digest=artifact.digest, size=artifact.size)


async def keep(services: Services, claims: SessionClaims, request: KeepRequest) -> SnapshotModel:
    """Raises ArtifactUnknown, LeaseLost, SessionEnded. Repeatable."""
    artifact = await services.artifacts.find(Digest(request.digest))
    async with services.store.transaction() as tx:
        session = await fenced(tx, claims, request.holder)
        if artifact is None:
            raise ArtifactUnknown(f"nothing is stored under {request.digest}: send it again")
        snapshot = Snapshot(
            session_id=session.id,
            digest=artifact.digest,
            size=artifact.size,
            generation=session.generation,
            turn=request.turn,
            kind=SnapshotKind(request.kind),
            created_at=services.now(),
            notes=request.notes,
        )
        await tx.snapshots.put(snapshot)
    log.info("state saved", session_id=session.id, turn=snapshot.turn, size=snapshot.size)
    return _model(snapshot)


async def current(services: Services, claims: SessionClaims) -> StateAnswer:
    snapshot = await _current(services, claims)
    return StateAnswer(
        cap_bytes=services.settings.state_cap_bytes,
        snapshot=_model(snapshot) if snapshot else None,
    )


async def content(services: Services, claims: SessionClaims) -> AsyncGenerator[bytes]:
    """Raises ArtifactUnknown before the first chunk. Damage ends it as it is: the digest tells its reader."""
    snapshot = await _current(services, claims)
    if snapshot is None:
        raise ArtifactUnknown(NOBODY)
    try:
        async with aclosing(services.artifacts.get(Digest(snapshot.digest))) as chunks:
            async for chunk in chunks:
                yield chunk
    except ArtifactCorrupt as error:
        log.error("saved state is damaged", session_id=snapshot.session_id, reason=str(error))  # noqa: TRY400 - no fault here


async def _current(services: Services, claims: SessionClaims) -> Snapshot | None:
    async with services.store.transaction() as tx:
        check(await tx.sessions.get(claims.session_id), claims)
        return await tx.snapshots.of_session(claims.session_id)


async def _require_current(services: Services, claims: SessionClaims) -> None:
    async with services.store.transaction() as tx:
        check(await tx.sessions.get(claims.session_id), claims)


def _model(snapshot: Snapshot) -> SnapshotModel:
    return SnapshotModel(
        digest=snapshot.digest,
        size=snapshot.size,
        generation=snapshot.generation,
        turn=snapshot.turn,
        kind=snapshot.kind.value,
        created_at=snapshot.created_at,
        notes=snapshot.notes,
    )
