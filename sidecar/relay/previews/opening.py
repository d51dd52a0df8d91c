"""Opening a deploy of one revision: the preview's row renewed, what was open replaced, told and audited."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sidecar.domain.audit import AuditEntry
from sidecar.domain.event import EventType
from sidecar.domain.ids import OperationId, new_id
from sidecar.domain.preview import (
    Operation,
    OperationKind,
    OperationState,
    Preview,
    PreviewStatus,
)
from sidecar.domain.session import Session
from sidecar.relay.aftermath import Change
from sidecar.relay.journal import note
from sidecar.relay.previews.naming import name
from sidecar.relay.previews.outcomes import supersede


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Who asked for it, and why that is allowed: for the audit."""

    actor: str
    action: str
    reason: str


async def open_deploy(
    made: Change, session: Session, wanted: Preview, *, arguments: dict[str, Any], why: Why
) -> Operation:
    """`wanted` says which revision, and whose the preview is from now on; its row is locked, or not there yet."""
    preview = await _renewed(made, wanted)
    operation = Operation(
        id=OperationId(new_id()),
        preview_id=preview.id,
        session_id=session.id,
        kind=OperationKind.DEPLOY,
        state=OperationState.REQUESTED,
        revision=preview.revision,
        created_at=made.services.now(),
        arguments=arguments,
    )
    await supersede(made, preview, f"superseded by a deploy of {preview.revision[:8]}")
    await made.tx.operations.insert(operation)
    told = {"preview_id": preview.id, "operation_id": operation.id, "revision": preview.revision}
    told |= {"repo": preview.repo, "branch": preview.branch, "url": preview.url}
    await note(made.tx, session, EventType.PREVIEW_REQUESTED, told)
    await _audit(made, preview, why)
    made.aftermath.changed.append(session.id)
    return operation


async def _renewed(made: Change, wanted: Preview) -> Preview:
    now = made.services.now()
    preview = replace(
        wanted,
        status=PreviewStatus.REQUESTED,
        diagnosis=None,
        updated_at=now,
        released_at=None,
        expires_at=now + timedelta(hours=made.services.settings.preview_ttl_hours),
    )
    is_new = not preview.url
    preview = await name(made.tx, made.services, preview)
    if is_new:
        await made.tx.previews.insert(preview)
    else:
        await made.tx.previews.save(preview)
    return preview


async def _audit(made: Change, preview: Preview, why: Why) -> None:
    await made.tx.audit.record(
        AuditEntry(
            at=made.services.now(),
            actor=why.actor,
            action=why.action,
            target=f"{preview.repo}@{preview.branch}",
            allowed=True,
            reason=why.reason,
            details={"preview_id": preview.id, "revision": preview.revision},
        )
    )
