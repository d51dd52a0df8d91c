"""A change to the ledger, and what is left to do once it has committed: bells to ring, flow runs to stop.

Use cases note the latter while they hold the transaction; it is done afterwards. Nothing depends on it: wakes
are polled for, leases run out, and the sweep ends what a closed activation has left running.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from sidecar.domain.errors import X1Error
from sidecar.domain.ids import FlowRunId, SessionId
from sidecar.domain.wake import Wake
from sidecar.relay.nudges import ACTIVATOR, events_of
from sidecar.relay.services import Services
from sidecar.relay.waking import ring, ring_bell
from sidecar.store.port import Transaction

log = structlog.stdlib.get_logger(__name__)

CANCEL_BELL = "cancel"
"""What rings for a cancel: the sidecar then renews its lease, which carries the reason."""


@dataclass(slots=True, kw_only=True)
class Aftermath:
    """`told` are running sessions to be told of a cancel; `unstarted` flow runs nobody has claimed."""

    wakes: list[Wake] = field(default_factory=list[Wake])
    told: list[SessionId] = field(default_factory=list[SessionId])
    changed: list[SessionId] = field(default_factory=list[SessionId])
    unstarted: list[FlowRunId] = field(default_factory=list[FlowRunId])
    abandoned: list[tuple[FlowRunId, str]] = field(default_factory=list[tuple[FlowRunId, str]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One transaction of a use case."""

    tx: Transaction
    services: Services
    aftermath: Aftermath = field(default_factory=Aftermath)


@asynccontextmanager
async def change(services: Services) -> AsyncGenerator[Change]:
    """Commits on leaving, then follows up. Leaving by an exception does neither."""
    async with services.store.transaction() as tx:
        made = Change(tx=tx, services=services)
        yield made
    await follow(services, made.aftermath)


async def follow(services: Services, aftermath: Aftermath) -> None:
    """Never raises."""
    await ring(services, *aftermath.wakes)
    for session_id in (*aftermath.told, *aftermath.changed):
        services.nudges.nudge(events_of(session_id))
    services.nudges.nudge(ACTIVATOR)
    for session_id in aftermath.told:
        await ring_bell(services, session_id, CANCEL_BELL)
    for run in aftermath.unstarted:
        await _cancel(services, run)
    for run, reason in aftermath.abandoned:
        await _abandon(services, run, reason)


async def _cancel(services: Services, run: FlowRunId) -> None:
    try:
        await services.prefect.cancel(run)
        await services.workloads.remove(run)
    except X1Error as error:
        log.warning("flow run not cancelled", flow_run_id=run, reason=str(error))


async def _abandon(services: Services, run: FlowRunId, reason: str) -> None:
    """Its workload stays while Prefect is away: the sweep finds it by that, and does both."""
    try:
        await services.prefect.abandon(run, reason)
        await services.workloads.remove(run)
    except X1Error as error:
        log.warning("flow run not abandoned", flow_run_id=run, reason=str(error))
