"""The sweep: workloads whose activation or operation is over, or that nobody knows, are removed after a grace.

What ends an activation or an operation sees to its workload; this makes it certain, after an outage of Prefect or
Kubernetes or a crash in between. A run that Prefect still waits for, or runs, is somebody's start and is left
alone. The other way round, an open activation or operation whose workload is gone, is its reconciler's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from sidecar.domain.audit import AuditEntry
from sidecar.domain.ids import FlowRunId, SessionId
from sidecar.domain.session import ActivationState
from sidecar.relay.loops.rounds import rounds
from sidecar.relay.prefect import RunPhase
from sidecar.relay.services import Services
from sidecar.relay.workloads import WorkloadPhase
from sidecar.store.port import Transaction

EVERY_SECONDS: Final = 10.0
GRACE: Final = timedelta(seconds=60)
"""A pod that is told to end may take its 30 s, and a flow that has parked its session a few."""
FINISHED_GRACE: Final = timedelta(minutes=15)
"""What failed uses nothing, and its log can be read until Kubernetes removes it after the Job's own ttl."""
MAX_A_PASS: Final = 20
UNKNOWN: Final = "no session and no preview knows its flow run, and Prefect does not run it"

log = structlog.stdlib.get_logger(__name__)


async def run(services: Services) -> None:
    sweeper = Sweeper()
    await rounds(services, "sweeper", sweeper.sweep, every_seconds=EVERY_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Whose a flow run is in the ledger, and why that is over, if it is."""

    session_id: SessionId | None = None
    over_because: str | None = None


@dataclass(slots=True)
class Sweeper:
    """Remembers since when a workload has been found to be an orphan; another replica counts anew."""

    _since: dict[FlowRunId, datetime] = field(default_factory=dict[FlowRunId, datetime])

    async def sweep(self, services: Services) -> None:
        """One pass. Raises KubernetesUnavailable, PrefectUnavailable: the next one goes on."""
        phases = await services.workloads.phases()
        orphans = await _orphans(services, list(phases)) if phases else {}
        now = services.now()
        self._since = {each: self._since.get(each, now) for each in orphans}
        ripe = [each for each, at in self._since.items() if now - at >= _grace(phases[each])]
        for each in ripe[:MAX_A_PASS]:
            await _remove(services, each, orphans[each])


def _grace(phase: WorkloadPhase) -> timedelta:
    return FINISHED_GRACE if phase is WorkloadPhase.OVER else GRACE


async def _orphans(services: Services, runs: list[FlowRunId]) -> Mapping[FlowRunId, Known]:
    async with services.store.transaction() as tx:
        known = {each: await _known(tx, each) for each in runs}
    strangers = [each for each, mine in known.items() if mine.session_id is None]
    states = await services.prefect.states(strangers) if strangers else {}
    idle = {
        each: replace(known[each], over_because=UNKNOWN)
        for each, state in states.items()
        if state.phase not in (RunPhase.WAITING, RunPhase.RUNNING)
    }
    return {each: mine for each, mine in known.items() if mine.over_because} | idle


async def _known(tx: Transaction, run: FlowRunId) -> Known:
    activation = await tx.activations.of_flow_run(run)
    if activation is not None:
        is_over = activation.state is ActivationState.ENDED
        reason = f"its activation has ended: {activation.end_reason}" if is_over else None
        return Known(session_id=activation.session_id, over_because=reason)
    operation = await tx.operations.of_flow_run(run)
    if operation is not None:
        reason = f"its operation has {operation.state}" if operation.state.is_final else None
        return Known(session_id=operation.session_id, over_because=reason)
    return Known()


async def _remove(services: Services, run: FlowRunId, orphan: Known) -> None:
    """Its run is told first: nobody would find it any more without its workload."""
    session_id, reason = orphan.session_id, orphan.over_because or UNKNOWN
    await services.prefect.abandon(run, reason)
    removed = await services.workloads.remove(run)
    if not removed:
        return
    log.info("orphans removed", flow_run_id=run, session_id=session_id, removed=list(removed))
    async with services.store.transaction() as tx:
        await tx.audit.record(
            AuditEntry(
                at=services.now(),
                actor="relay",
                action="sweep",
                target=", ".join(removed),
                allowed=True,
                reason=reason,
                details={"flow_run_id": run, "session_id": session_id},
            )
        )
