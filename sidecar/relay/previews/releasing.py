"""Releasing: the name is free at once; a flow run then takes the app down."""

from dataclasses import replace
from typing import Any

from sidecar.domain.audit import AuditEntry
from sidecar.domain.event import EventType
from sidecar.domain.ids import OperationId, PreviewId, new_id
from sidecar.domain.preview import (
    Operation,
    OperationKind,
    OperationState,
    Preview,
    PreviewStatus,
)
from sidecar.relay.aftermath import Change, change
from sidecar.relay.effects import once
from sidecar.relay.fence import fenced
from sidecar.relay.journal import note
from sidecar.relay.previews.outcomes import supersede
from sidecar.relay.previews.owning import FREE, require_own
from sidecar.relay.previews.reading import model_of
from sidecar.relay.previews.starting import start
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.wire.previews import PreviewModel


async def release_own(
    services: Services, claims: SessionClaims, preview_id: PreviewId, key: str | None
) -> PreviewModel:
    """For a session of the tree that holds it. Raises PreviewClaimed, PreviewUnknown."""
    async with change(services) as made:
        session = await fenced(made.tx, claims)
        preview = await made.tx.previews.lock(preview_id)
        require_own(preview, session)

        async def act() -> dict[str, Any]:
            operation = await _let_go(made, preview, f"session:{session.id}")
            return {"operation_id": operation.id if operation else None}

        answer = await once(made.tx, session.id, key and f"release {key}", act)
    if answer["operation_id"]:
        await start(services, OperationId(answer["operation_id"]))
    async with services.store.transaction() as tx:
        return model_of(await tx.previews.get(preview_id))


async def release(
    services: Services,
    preview_id: PreviewId,
    actor: str,
    status: PreviewStatus = PreviewStatus.RELEASED,
) -> Preview:
    """For an operator or the relay itself. Repeatable. Raises PreviewUnknown."""
    async with services.store.transaction() as tx:
        owner = (await tx.previews.get(preview_id)).owner_session_id
    async with change(services) as made:
        await made.tx.sessions.lock(owner)
        preview = await made.tx.previews.lock(preview_id)
        operation = await _let_go(made, preview, actor, status)
    if operation is not None:
        await start(services, operation.id)
    async with services.store.transaction() as tx:
        return await tx.previews.get(preview_id)


async def _let_go(
    made: Change,
    preview: Preview,
    actor: str,
    status: PreviewStatus = PreviewStatus.RELEASED,
) -> Operation | None:
    if preview.status in FREE:
        return None
    now = made.services.now()
    await supersede(made, preview, f"released by {actor}")
    free = replace(preview, status=status, released_at=now, updated_at=now, diagnosis=None)
    await made.tx.previews.save(free)
    operation = await open_release(made, preview)
    is_expiry = status is PreviewStatus.EXPIRED
    owner = await made.tx.sessions.get(preview.owner_session_id)
    told = {"preview_id": preview.id, "url": preview.url, "by": actor, "branch": preview.branch}
    kind = EventType.PREVIEW_EXPIRED if is_expiry else EventType.PREVIEW_RELEASED
    await note(made.tx, owner, kind, told)
    await made.tx.audit.record(
        AuditEntry(
            at=now,
            actor=actor,
            action="preview.release",
            target=f"{preview.repo}@{preview.branch}",
            allowed=True,
            reason="its time to live is over" if is_expiry else "asked for by who may",
            details={"preview_id": preview.id},
        )
    )
    made.aftermath.changed.append(owner.id)
    return operation


async def open_release(made: Change, preview: Preview) -> Operation:
    """Takes down what is there of it, if anything; the caller holds the locks."""
    operation = Operation(
        id=OperationId(new_id()),
        preview_id=preview.id,
        session_id=preview.owner_session_id,
        kind=OperationKind.RELEASE,
        state=OperationState.REQUESTED,
        revision=preview.revision,
        created_at=made.services.now(),
    )
    await made.tx.operations.insert(operation)
    return operation
