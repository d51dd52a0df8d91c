"""Ledger against cluster, both ways: what should not stand is released, what should and does not is deployed.

Every decision is taken on the ledger as it is now, under its locks; what a sweep saw is only a reason to look.
What is already in hand is left to its operation.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog

from sidecar.domain.audit import AuditEntry
from sidecar.domain.errors import PreviewUnknown
from sidecar.domain.ids import OperationId, PreviewId, Revision
from sidecar.domain.preview import Operation, PreviewStatus
from sidecar.relay.aftermath import Change, change
from sidecar.relay.previews.opening import Why, open_deploy
from sidecar.relay.previews.owning import FREE
from sidecar.relay.previews.proven import proven
from sidecar.relay.previews.releasing import open_release
from sidecar.relay.previews.starting import start
from sidecar.relay.services import Services
from sidecar.wire.preview_sweeps import (
    PreviewRevision,
    ServedAnswer,
    ServedPreview,
    SweepAnswer,
    SweepRequest,
)

ACTOR: Final = "relay:sweep"
MOST_PREVIEWS: Final = 10_000

log = structlog.stdlib.get_logger(__name__)


async def served(services: Services) -> ServedAnswer:
    async with services.store.transaction() as tx:
        previews = await tx.previews.live(limit=MOST_PREVIEWS)
        busy = {each.preview_id for each in await tx.operations.all_open()}
    return ServedAnswer(
        previews=[
            ServedPreview(preview_id=each.id, revision=each.serving)
            for each in previews
            if each.serving is not None and each.id not in busy
        ]
    )


async def settle(services: Services, report: SweepRequest) -> SweepAnswer:
    """Repeatable. What cannot be begun now, because Prefect is away, the previews' loop begins later."""
    again = [each.preview_id for each in report.missing if await _deploy_again(services, each)]
    strangers: list[str] = []
    released: list[str] = []
    for each in map(PreviewId, report.present):
        try:
            if await _release_again(services, each):
                released.append(each)
        except PreviewUnknown:
            strangers.append(each)
    unfinished = [each for each in report.revisions if await _is_unfinished(services, each)]
    over = [each for each in report.building if await _is_over(services, OperationId(each))]
    await _audit(services, "preview.remove", strangers, "no ledger knows this preview")
    await _audit(services, "build.remove", over, "no operation waits for this build")
    return SweepAnswer(
        strangers=strangers,
        released=released,
        deployed_again=again,
        unfinished=unfinished,
        over=over,
    )


async def _deploy_again(services: Services, missing: ServedPreview) -> bool:
    """False when the ledger has gone on since it was looked."""
    operation: Operation | None = None
    preview_id, revision = PreviewId(missing.preview_id), Revision(missing.revision)
    async with services.store.transaction() as tx:
        owner = (await tx.previews.get(preview_id)).owner_session_id
    async with change(services) as made:
        session = await made.tx.sessions.lock(owner)
        preview = await made.tx.previews.lock(preview_id)
        if (
            preview.serving != revision
            or preview.status in FREE
            or await _is_busy(made, preview_id)
        ):
            return False
        gone = replace(preview, serving=None)
        if preview.status is PreviewStatus.READY:
            reason = f"{revision[:8]} was not in the cluster any more"
            why = Why(actor=ACTOR, action="preview.deploy", reason=reason)
            asked = replace(gone, revision=revision)
            operation = await open_deploy(made, session, asked, arguments={}, why=why)
        else:
            await made.tx.previews.save(gone)
    log.warning("a preview was gone", preview_id=preview_id, revision=revision)
    return await _begun(services, operation)


async def _release_again(services: Services, preview_id: PreviewId) -> bool:
    """What is left of a preview that was let go. Raises PreviewUnknown."""
    async with services.store.transaction() as tx:
        seen = await tx.previews.get(preview_id)
    if seen.status not in FREE:
        return False
    operation: Operation | None = None
    async with change(services) as made:
        await made.tx.sessions.lock(seen.owner_session_id)
        preview = await made.tx.previews.lock(preview_id)
        if preview.status in FREE and not await _is_busy(made, preview_id):
            operation = await open_release(made, preview)
    return await _begun(services, operation)


async def _is_unfinished(services: Services, found: PreviewRevision) -> bool:
    """Left by a run that was killed or superseded in its start. A new deploy of it is seconds away."""
    preview_id = PreviewId(found.preview_id)
    async with change(services) as made:
        try:
            preview = await made.tx.previews.lock(preview_id)
        except PreviewUnknown:
            return False
        if preview.status in FREE or await _is_busy(made, preview_id):
            return False
        return found.revision not in {preview.serving, *await proven(made.tx, preview_id)}


async def _is_busy(made: Change, preview_id: PreviewId) -> bool:
    return any(not each.state.is_final for each in await made.tx.operations.list_of(preview_id))


async def _is_over(services: Services, operation_id: OperationId) -> bool:
    """An operation's own run removes its build; what is left was left by one that was killed."""
    async with services.store.transaction() as tx:
        try:
            return (await tx.operations.get(operation_id)).state.is_final
        except PreviewUnknown:
            return True


async def _begun(services: Services, operation: Operation | None) -> bool:
    if operation is None:
        return False
    await start(services, OperationId(operation.id))
    return True


async def _audit(services: Services, action: str, targets: Sequence[str], reason: str) -> None:
    if not targets:
        return
    async with services.store.transaction() as tx:
        for each in targets:
            await tx.audit.record(
                AuditEntry(
                    at=services.now(),
                    actor=ACTOR,
                    action=action,
                    target=each,
                    allowed=True,
                    reason=reason,
                )
            )
