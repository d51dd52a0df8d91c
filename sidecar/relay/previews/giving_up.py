"""An operation whose flow run came to nothing: another run for it, or its end.

Both judge again under the row's lock, so that a run that has reported meanwhile keeps its operation.
"""

from dataclasses import replace
from typing import Final

import structlog

from sidecar.domain.preview import Operation, OperationState
from sidecar.relay.aftermath import change
from sidecar.relay.previews.outcomes import fail
from sidecar.relay.services import Services

MAX_ATTEMPTS: Final = 3

log = structlog.stdlib.get_logger(__name__)


async def again(services: Services, seen: Operation, reason: str) -> None:
    """A new flow run, up to three; then it has failed and its session is told."""
    if seen.attempt >= MAX_ATTEMPTS:
        told = f"given up after {MAX_ATTEMPTS} flow runs: {reason}"
        await give_up(services, seen, told, is_abandoned=True)
        return
    async with change(services) as made:
        current = await made.tx.operations.lock(seen.id)
        if not _is_still(current, seen):
            return
        # The generation rises at once: a run that only seemed dead is fenced off before the next begins.
        await made.tx.operations.save(
            replace(
                current,
                state=OperationState.REQUESTED,
                generation=current.generation + 1,
                flow_run_id=None,
                holder=None,
                lease_expires_at=None,
                running_since=None,
                queued_reason=None,
            )
        )
        if current.flow_run_id is not None:
            made.aftermath.abandoned.append((current.flow_run_id, reason))
    log.warning("operation starts again", operation_id=seen.id, reason=reason)


async def give_up(
    services: Services, seen: Operation, reason: str, *, is_abandoned: bool = False
) -> None:
    """It has failed, and its session is told. `is_abandoned` ends its run in Prefect, and its workload."""
    async with change(services) as made:
        session = await made.tx.sessions.lock(seen.session_id)
        preview = await made.tx.previews.lock(seen.preview_id)
        current = await made.tx.operations.lock(seen.id)
        if not _is_still(current, seen):
            return
        await fail(made, session, preview, current, reason)
        if is_abandoned and current.flow_run_id is not None:
            made.aftermath.abandoned.append((current.flow_run_id, reason))
    log.warning("operation failed", operation_id=seen.id, reason=reason)


def _is_still(current: Operation, seen: Operation) -> bool:
    """As it was judged: neither ended, nor taken over, nor renewed since."""
    return (
        not current.state.is_final
        and current.flow_run_id == seen.flow_run_id
        and current.generation == seen.generation
        and current.lease_expires_at == seen.lease_expires_at
    )
