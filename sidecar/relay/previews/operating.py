"""Operations and their flow runs: a run claims one, reports as it goes, and its last report ends it.

An operation is leased as a session is: a newer claim fences an older run off, and a run that falls silent is
replaced by `sidecar.relay.previews.loop`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sidecar.domain.errors import LeaseLost
from sidecar.domain.event import EventType
from sidecar.domain.ids import FlowRunId, OperationId, Revision
from sidecar.domain.lease import TTL, holder_of
from sidecar.domain.preview import (
    Operation,
    OperationState,
    Preview,
    PreviewStatus,
)
from sidecar.domain.session import Session
from sidecar.relay.aftermath import Change, change
from sidecar.relay.bundles import page_url
from sidecar.relay.journal import note
from sidecar.relay.nudges import PREVIEWS
from sidecar.relay.prefect import RunPhase
from sidecar.relay.previews.briefing import Briefing, brief
from sidecar.relay.previews.masking import redactor
from sidecar.relay.previews.outcomes import SUPERSEDED, fail, succeed
from sidecar.relay.previews.proven import proven
from sidecar.relay.services import Services
from sidecar.relay.tokens import OperationClaims
from sidecar.store.port import Transaction
from sidecar.wire.previews import (
    OperationAnswer,
    OperationBundle,
    OperationClaim,
    OperationProgress,
)

STAGES: Final = {
    "building": (PreviewStatus.BUILDING, EventType.PREVIEW_BUILDING),
    "deploying": (PreviewStatus.DEPLOYING, EventType.PREVIEW_DEPLOYING),
}
MAX_LINE: Final = 2000
KEPT_LINES: Final = 5000
"""As many as can be asked for at once; what an operation adds to them is bounded by its builder."""


async def claim(
    services: Services, operation_id: OperationId, request: OperationClaim
) -> OperationBundle:
    """The operation for this process of this run, or `lost`. Raises PreviewUnknown, Unavailable, Forbidden."""
    run = FlowRunId(request.flow_run_id)
    state = (await services.prefect.states([run])).get(run)
    if state is None or state.phase is not RunPhase.RUNNING:
        found = "unknown" if state is None else state.name
        return _lost(f"Prefect says that this run is {found}")
    async with services.store.transaction() as tx:
        operation = await tx.operations.get(operation_id)
        preview = await tx.previews.get(operation.preview_id)
    if operation.state.is_final:
        return _lost(f"the operation has {operation.state} already")
    briefing = await brief(services, preview, operation)
    async with services.store.transaction() as tx:
        operation = await tx.operations.lock(operation_id)
        reason = _barred(operation, run)
        if reason is not None:
            return _lost(reason)
        operation = await _hold(tx, services, operation, request)
        ready = await proven(tx, preview.id)
        await tx.previews.trim_log(preview.id, keep=KEPT_LINES)
    return _bundle(services, operation, preview, briefing, ready)


def _barred(operation: Operation, run: FlowRunId) -> str | None:
    if operation.state.is_final:
        return f"the operation has {operation.state} already"
    if operation.flow_run_id not in (run, None):
        return f"flow run {operation.flow_run_id} has this operation"
    return None


async def _hold(
    tx: Transaction, services: Services, operation: Operation, request: OperationClaim
) -> Operation:
    """Claiming twice with one nonce is one claim; another process of the run raises the generation."""
    holder, now = holder_of(request.flow_run_id, request.nonce), services.now()
    if operation.holder == holder:
        return operation
    held = replace(
        operation,
        state=OperationState.RUNNING,
        holder=holder,
        generation=operation.generation + 1,
        attempt=max(1, operation.attempt + (operation.flow_run_id is None)),
        flow_run_id=FlowRunId(request.flow_run_id),
        lease_expires_at=now + TTL,
        running_since=operation.running_since or now,
        queued_reason=None,
    )
    await tx.operations.save(held)
    return held


async def progress(
    services: Services,
    claims: OperationClaims,
    report: OperationProgress,
) -> OperationAnswer:
    """Renews the lease; a final report ends the operation, once. Raises LeaseLost for a run fenced off."""
    async with services.store.transaction() as tx:
        asked = await tx.operations.get(claims.operation_id)
    async with change(services) as made:
        session = await made.tx.sessions.lock(asked.session_id)
        preview = await made.tx.previews.lock(asked.preview_id)
        operation = await made.tx.operations.lock(asked.id)
        _fence(operation, claims, report)
        if report.log:
            masked = redactor(services.settings, preview.repo).mask_text
            lines = [masked(line)[:MAX_LINE] for line in report.log]
            await made.tx.previews.append_log(preview.id, report.log_source, lines)
        if not operation.state.is_final:
            operation = await _apply(made, session, preview, operation, report)
        elif operation.lease_expires_at is not None:
            await made.tx.operations.save(replace(operation, lease_expires_at=None))
    if operation.state.is_final:
        services.nudges.nudge(PREVIEWS)
    return OperationAnswer(
        lease_seconds=TTL.total_seconds(),
        cancelled=_is_over_for(operation, report),
        evidence_id=operation.result.get("evidence_id"),
    )


def _is_over_for(operation: Operation, report: OperationProgress) -> bool:
    """An end that this run did not report itself: it was superseded, or given up."""
    if not operation.state.is_final:
        return False
    return bool(operation.result.get(SUPERSEDED)) or operation.state.value != report.status


def _fence(operation: Operation, claims: OperationClaims, report: OperationProgress) -> None:
    if claims.generation != operation.generation or report.holder != operation.holder:
        raise LeaseLost(f"operation {operation.id} is in other hands: stop at once")


async def _apply(
    made: Change,
    session: Session,
    preview: Preview,
    operation: Operation,
    report: OperationProgress,
) -> Operation:
    if report.status == "succeeded":
        return await succeed(made, session, preview, operation, report.result)
    if report.status == "failed":
        diagnosis = str(report.result.get("diagnosis") or "it failed without saying why")
        return await fail(made, session, preview, operation, diagnosis)
    stage = STAGES.get(report.status)
    if stage is not None and preview.status is not stage[0]:
        now = made.services.now()
        await made.tx.previews.save(replace(preview, status=stage[0], updated_at=now))
        told = {"preview_id": preview.id, "operation_id": operation.id}
        told |= {"revision": operation.revision, "url": preview.url}
        await note(made.tx, session, stage[1], told)
        made.aftermath.changed.append(session.id)
    renewed = replace(operation, lease_expires_at=made.services.now() + TTL)
    await made.tx.operations.save(renewed)
    return renewed


def _bundle(
    services: Services,
    operation: Operation,
    preview: Preview,
    briefing: Briefing,
    ready: Sequence[Revision],
) -> OperationBundle:
    return OperationBundle(
        outcome="claimed",
        operation_id=operation.id,
        preview_id=preview.id,
        session_id=operation.session_id,
        kind=operation.kind.value,
        holder=operation.holder or "",
        token=services.tokens.mint_operation(operation.id, operation.generation),
        repo=preview.repo,
        branch=preview.branch,
        revision=operation.revision,
        serving=preview.serving or "",
        proven=list(ready),
        workspace=preview.workspace,
        url=preview.url,
        alias_url=preview.alias_url,
        git_url=services.forge.git_url,
        git_token=briefing.git_token,
        spec_text=briefing.spec_text,
        manifests=briefing.manifests,
        secrets=briefing.secrets,
        registry=briefing.registry,
        push_token=briefing.push_token,
        pull_token=briefing.pull_token,
        checks=operation.arguments.get("checks", []),
        page_url=page_url(services, operation.session_id),
    )


def _lost(reason: str) -> OperationBundle:
    return OperationBundle(outcome="lost", reason=reason)
