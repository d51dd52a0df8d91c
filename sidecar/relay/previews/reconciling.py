"""Reconciling operations with Prefect and their workloads, as `sidecar.relay.reconciling` does with activations.

A run that dies, falls silent or does not claim is replaced, three times at most. One whose pod cannot start fails
its operation at once, as another would meet the same. What waits for room is left to wait and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sidecar.domain.ids import FlowRunId
from sidecar.domain.lease import is_expired
from sidecar.domain.preview import Operation, OperationState
from sidecar.relay.loops.answering import Answering
from sidecar.relay.obstacles import Obstacles
from sidecar.relay.prefect import RunPhase, RunState
from sidecar.relay.previews.giving_up import again, give_up
from sidecar.relay.services import Services
from sidecar.relay.sighting import Sight, why
from sidecar.relay.unclaimed import PATIENCE, Obstacle, Verdict, judge, places, worded
from sidecar.relay.workloads import UNSEEN

_MISSING: Final = RunState(phase=RunPhase.MISSING, name="Missing")


class OperationReconciler:
    """Remembers since when obstacles stand, and whether Kubernetes' API answers."""

    def __init__(self) -> None:
        self._answering = Answering()
        self._obstacles = Obstacles()
        self._sight = Sight()

    async def reconcile(self, services: Services) -> None:
        """One pass over every open operation that has a run. Raises PrefectUnavailable."""
        async with services.store.transaction() as tx:
            operations = [each for each in await tx.operations.all_open() if each.flow_run_id]
        since = self._answering.heard(services.now())
        unclaimed = _runs([each for each in operations if _is_unclaimed(each)])
        workloads = await self._sight.of(services, unclaimed)
        states = await _states(services, operations)
        self._obstacles.keep(_runs(operations))
        order = places(unclaimed, workloads)
        for operation in operations:
            run = _run(operation)
            state = states.get(run, _MISSING)
            if _is_unclaimed(operation) and state.phase in (RunPhase.WAITING, RunPhase.RUNNING):
                verdict = judge(state, workloads.get(run, UNSEEN), order.get(run))
                await self._await_claim(services, operation, verdict, since)
            else:
                await self._judge(services, operation, state, since)

    async def _judge(
        self, services: Services, operation: Operation, state: RunState, since: datetime
    ) -> None:
        match state.phase:
            case RunPhase.CANCELLED if not state.by_parent:
                await give_up(services, operation, "its flow run was cancelled in Prefect")
            case RunPhase.CANCELLED | RunPhase.FINAL if self._is_blind_to(operation):
                await _say(services, operation, self._sight.blind_because)
            case RunPhase.CANCELLED | RunPhase.FINAL | RunPhase.MISSING:
                pod = await why(services, _run(operation))
                await again(services, operation, f"its flow run is {worded(state)}{pod}")
            case _ if is_expired(operation.lease_expires_at, services.now(), since):
                pod = await why(services, _run(operation))
                await again(services, operation, f"its flow run stopped reporting{pod}")
            case _:
                pass

    def _is_blind_to(self, operation: Operation) -> bool:
        """Submitting fails while Kubernetes is away: that is no try of this operation's."""
        return _is_unclaimed(operation) and self._sight.is_away

    async def _await_claim(
        self, services: Services, operation: Operation, verdict: Verdict, since: datetime
    ) -> None:
        """Patience counts only while this relay and Kubernetes' API answered."""
        if self._sight.is_away:
            await _say(services, operation, self._sight.blind_because)
            return
        if verdict.obstacle is Obstacle.UNCLAIMED and operation.running_since is None:
            await _save_seen_running(services, operation)
            return
        met = self._meet(services, operation, verdict.obstacle)
        await _say(services, operation, verdict.says)
        patience = PATIENCE.get(verdict.obstacle)
        begun = max(met, since, self._sight.away_at or since)
        if patience is None or services.now() < begun + patience:
            return
        if verdict.obstacle is Obstacle.HOPELESS:
            reason = f"the {operation.kind} did not begin: {verdict.fault}"
            await give_up(services, operation, reason, is_abandoned=True)
        else:
            await again(services, operation, verdict.fault)

    def _meet(self, services: Services, operation: Operation, obstacle: Obstacle) -> datetime:
        """That it runs is in the ledger; the others are remembered here."""
        if obstacle is Obstacle.UNCLAIMED and operation.running_since is not None:
            return operation.running_since
        return self._obstacles.meet(_run(operation), obstacle, services.now())


async def _states(
    services: Services, operations: Sequence[Operation]
) -> Mapping[FlowRunId, RunState]:
    return await services.prefect.states(_runs(operations)) if operations else {}


async def _save_seen_running(services: Services, operation: Operation) -> None:
    async with services.store.transaction() as tx:
        current = await tx.operations.lock(operation.id)
        if _is_unclaimed(current) and current.running_since is None:
            seen = replace(current, running_since=services.now(), queued_reason=None)
            await tx.operations.save(seen)


async def _say(services: Services, operation: Operation, reason: str | None) -> None:
    if reason == operation.queued_reason:
        return
    async with services.store.transaction() as tx:
        current = await tx.operations.lock(operation.id)
        if _is_unclaimed(current) and current.flow_run_id == operation.flow_run_id:
            await tx.operations.save(replace(current, queued_reason=reason))


def _is_unclaimed(operation: Operation) -> bool:
    return operation.state is OperationState.REQUESTED


def _run(operation: Operation) -> FlowRunId:
    """Of one that has a run."""
    return operation.flow_run_id or FlowRunId("")


def _runs(operations: Sequence[Operation]) -> list[FlowRunId]:
    return [_run(each) for each in operations]
