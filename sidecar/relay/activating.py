"""Activating: a session that needs one gets an activation row, and the row a Prefect run.

The row comes first and is unique, so that any replica may do this at any time; the run is created under the
row's id, so that doing it twice makes one run.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from sidecar.domain.errors import (
    ActivationOpen,
    AgentUnknown,
    DiskFull,
    PrefectUnavailable,
    SessionUnknown,
)
from sidecar.domain.ids import ActivationId, FlowRunId, SessionId, new_id
from sidecar.domain.lease import activation_backoff
from sidecar.domain.session import Activation, ActivationState, Session
from sidecar.relay.aftermath import change
from sidecar.relay.nudges import events_of
from sidecar.relay.room import require_room
from sidecar.relay.services import Services
from sidecar.store.port import Transaction

AT_ONCE: Final = 100
PREFECT_CALLS_AT_ONCE: Final = 8
PAUSE: Final = timedelta(seconds=2)
"""Between two tries to have a flow run created, whatever the obstacle."""

log = structlog.stdlib.get_logger(__name__)


async def request_missing(services: Services) -> None:
    """Rows for sessions that need an activation, runs for rows that are due.

    While Prefect is away or the disk nearly full, the rows stand, say so, and are tried again.
    """
    async with services.store.transaction() as tx:
        needing = await tx.sessions.needing_activation(AT_ONCE)
    for session_id in needing:
        await _request(services, session_id)
    async with services.store.transaction() as tx:
        waiting = _due(services, await tx.activations.all_open())
    for start in range(0, len(waiting), PREFECT_CALLS_AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for activation in waiting[start : start + PREFECT_CALLS_AT_ONCE]:
                group.create_task(_start(services, activation), name=f"start {activation.id}")


async def _request(services: Services, session_id: SessionId) -> None:
    try:
        async with services.store.transaction() as tx:
            session = await tx.sessions.lock(session_id)
            if session.status.is_terminal or await tx.activations.open_of(session_id) is not None:
                return
            await tx.activations.insert(
                Activation(
                    id=ActivationId(new_id()),
                    session_id=session_id,
                    state=ActivationState.REQUESTED,
                    requested_at=services.now(),
                    not_before=await _not_before(tx, session),
                )
            )
    except (ActivationOpen, SessionUnknown):
        return


async def _not_before(tx: Transaction, session: Session) -> datetime | None:
    """Backoff counts from when the last activation ended."""
    earlier = await tx.activations.list_of(session.id) if session.failures else ()
    ended_at = earlier[-1].ended_at if earlier else None
    return ended_at + activation_backoff(session.failures) if ended_at else None


def _due(services: Services, activations: Sequence[Activation]) -> list[Activation]:
    now = services.now()
    return [
        each
        for each in activations
        if each.flow_run_id is None
        and each.state is ActivationState.REQUESTED
        and (each.not_before is None or each.not_before <= now)
    ]


async def _start(services: Services, activation: Activation) -> None:
    async with services.store.transaction() as tx:
        session = await tx.sessions.get(activation.session_id)
        parent = await _callers_run(tx, session)
    try:
        require_room(services.settings)
        run = await services.prefect.start(
            deployment=f"session/{session.agent}",
            parameters={"session_id": session.id},
            name=f"{session.agent}-{session.id[-8:]}-{activation.id[-4:]}",
            idempotency_key=activation.id,
            tags=["x1", f"agent:{session.agent}", f"session:{session.id}"],
            parent=parent,
            label=session.agent,
        )
    except (AgentUnknown, DiskFull, PrefectUnavailable) as error:
        await _put_off(services, activation.id, str(error))
        return
    await _record(services, activation.id, run)
    log.info("activation requested", session_id=session.id, flow_run_id=run)


async def _callers_run(tx: Transaction, session: Session) -> FlowRunId | None:
    """The newest run of the caller: what is hired hangs under it in Prefect's graph."""
    if session.parent_session_id is None:
        return None
    runs = [
        each.flow_run_id
        for each in await tx.activations.list_of(session.parent_session_id)
        if each.flow_run_id is not None
    ]
    return runs[-1] if runs else None


async def _record(services: Services, activation_id: ActivationId, run: FlowRunId) -> None:
    """The run of an activation that ended meanwhile is cancelled: nobody will claim with it."""
    async with change(services) as made:
        activation = await made.tx.activations.lock(activation_id)
        if activation.state is ActivationState.ENDED:
            made.aftermath.unstarted.append(run)
        elif activation.flow_run_id is None:
            started = replace(activation, flow_run_id=run, queued_reason=None)
            await made.tx.activations.save(started)


async def _put_off(services: Services, activation_id: ActivationId, reason: str) -> None:
    async with services.store.transaction() as tx:
        activation = await tx.activations.lock(activation_id)
        if activation.state is ActivationState.ENDED:
            return
        later = services.now() + PAUSE
        await tx.activations.save(replace(activation, not_before=later, queued_reason=reason))
    services.nudges.nudge(events_of(activation.session_id))
    log.warning("activation waits", session_id=activation.session_id, reason=reason)
