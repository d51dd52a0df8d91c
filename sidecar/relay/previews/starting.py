"""Giving an operation its flow run: under the caller's run, once per attempt, tried again until Prefect has it."""

from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from sidecar.domain.errors import AgentUnknown, PrefectUnavailable
from sidecar.domain.ids import FlowRunId, OperationId, SessionId
from sidecar.domain.preview import Operation, OperationKind, OperationState, Preview
from sidecar.relay.services import Services
from sidecar.store.port import Transaction

DEPLOYMENT: Final = "preview/preview"
ORDERED: Final = (OperationKind.DEPLOY, OperationKind.RELEASE)
"""What changes a preview happens one after another; a verification only looks."""

log = structlog.stdlib.get_logger(__name__)


async def start_missing(services: Services) -> None:
    """A flow run for every open operation that has none and whose turn it is."""
    async with services.store.transaction() as tx:
        waiting = await _due(tx, services.now())
    for operation in waiting:
        if not await start(services, operation.id):
            return


async def start(services: Services, operation_id: OperationId) -> bool:
    """False when Prefect cannot take it now: the loop tries again. Never raises for that."""
    async with services.store.transaction() as tx:
        operation = await tx.operations.get(operation_id)
        if operation.state.is_final or operation.flow_run_id is not None:
            return True
        if operation not in await _due(tx, services.now()):
            return True
        preview = await tx.previews.get(operation.preview_id)
        parent = await _callers_run(tx, operation.session_id)
    try:
        run = await _request(services, operation, preview, parent)
    except (AgentUnknown, PrefectUnavailable) as error:
        log.warning("operation waits", operation_id=operation_id, reason=str(error))
        return False
    await _record(services, operation, run)
    return True


async def _request(
    services: Services, operation: Operation, preview: Preview, parent: FlowRunId | None
) -> FlowRunId:
    attempt = operation.attempt + 1
    label = preview.url.partition("://")[2].partition(".")[0]
    return await services.prefect.start(
        deployment=DEPLOYMENT,
        parameters={"operation_id": operation.id},
        name=f"{operation.kind}-{label}-{operation.revision[:8]}",
        idempotency_key=f"{operation.id}:{attempt}",
        tags=["x1", f"preview:{preview.id}", f"session:{operation.session_id}"],
        parent=parent,
        label=f"{operation.kind} {label}",
    )


async def _record(services: Services, asked: Operation, run: FlowRunId) -> None:
    async with services.store.transaction() as tx:
        current = await tx.operations.lock(asked.id)
        if current.flow_run_id is None and current.attempt == asked.attempt:
            started = replace(current, flow_run_id=run, attempt=current.attempt + 1)
            await tx.operations.save(started)
    log.info("operation requested", operation_id=asked.id, flow_run_id=run)


async def _due(tx: Transaction, now: datetime) -> list[Operation]:
    """A release waits for a superseded run, too, until it was told: it would make again what is removed."""
    fading = {each.preview_id for each in await tx.operations.fading(now)}
    due: list[Operation] = []
    busy: set[str] = set()
    for each in await tx.operations.all_open():
        is_ordered = each.kind in ORDERED
        is_waiting = each.flow_run_id is None and each.state is OperationState.REQUESTED
        is_met = each.kind is OperationKind.RELEASE and each.preview_id in fading
        if is_waiting and not is_met and not (is_ordered and each.preview_id in busy):
            due.append(each)
        if is_ordered:
            busy.add(each.preview_id)
    return due


async def _callers_run(tx: Transaction, session_id: SessionId) -> FlowRunId | None:
    """The newest run of the caller: its operations hang under it in Prefect's graph."""
    newest = (await tx.activations.newest([session_id])).get(session_id)
    return newest.flow_run_id if newest else None
