"""Reconciling activations with Prefect and their workloads: what became of a run decides what comes next.

A run that a person cancelled cancels its session. One that Prefect cancelled because of the run above it,
one that is final and one that never claimed are replaced. A worker that stopped or a crash never cancels,
and what waits for room is left to wait. While Kubernetes' API is away, nothing unclaimed is given up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

import structlog

from sidecar.domain.errors import KubernetesUnavailable
from sidecar.domain.ids import ActivationId, FlowRunId
from sidecar.domain.session import Activation, ActivationState, Session
from sidecar.relay.cancelling import cancel
from sidecar.relay.nudges import events_of
from sidecar.relay.obstacles import Obstacles
from sidecar.relay.prefect import CANCELLED_IN_PREFECT, RunPhase, RunState
from sidecar.relay.services import Services
from sidecar.relay.settling import close
from sidecar.relay.sighting import Sight, why
from sidecar.relay.unclaimed import PATIENCE, Obstacle, Verdict, judge, places, worded
from sidecar.relay.workloads import UNSEEN, Workload

STOP_GRACE: Final = timedelta(seconds=20)
"""How long a holder that was told of a cancel may take, before its flow run and its workload are ended."""

Known = TypeVar("Known", RunState, Workload)

_MISSING: Final = RunState(phase=RunPhase.MISSING, name="Missing")

log = structlog.stdlib.get_logger(__name__)


class Reconciler:
    """Remembers since when cancels and obstacles stand; another replica that takes over counts anew."""

    def __init__(self) -> None:
        self._told: dict[ActivationId, datetime] = {}
        self._obstacles = Obstacles()
        self._sight = Sight()

    async def reconcile(self, services: Services, answering_since: datetime) -> None:
        """One pass over every open activation that has a run. Raises PrefectUnavailable.

        Workloads are looked at before Prefect is asked: what it knows of their end is then newer.
        """
        async with services.store.transaction() as tx:
            activations = [each for each in await tx.activations.all_open() if each.flow_run_id]
        unclaimed = [each for each in activations if each.state is ActivationState.REQUESTED]
        workloads = await self._sight.of(services, _runs(unclaimed))
        states = await services.prefect.states(_runs(activations))
        self._forget(activations)
        order = places(_runs(sorted(unclaimed, key=_asked)), workloads)
        since = max(answering_since, self._sight.away_at or answering_since)
        for activation in activations:
            state = _of(states, activation, _MISSING)
            if activation.state is ActivationState.REQUESTED and _is_open(state):
                seen = _of(workloads, activation, UNSEEN)
                verdict = judge(state, seen, order.get(_run(activation)))
                await self._await_claim(services, activation, verdict, since)
            else:
                await self._judge(services, activation, state)

    async def _judge(self, services: Services, activation: Activation, state: RunState) -> None:
        is_unclaimed = activation.state is ActivationState.REQUESTED
        match state.phase:
            case RunPhase.CANCELLED if not state.by_parent:
                await self._cancelled(services, activation, state)
            case RunPhase.CANCELLED | RunPhase.FINAL if is_unclaimed and self._sight.is_away:
                await _say(services, activation, self._sight.blind_because)
            case RunPhase.CANCELLED | RunPhase.FINAL:
                pod = await why(services, activation.flow_run_id)
                await _close(services, activation, f"its flow run is {worded(state)}{pod}")
            case RunPhase.MISSING if is_unclaimed:
                await _close(services, activation, "Prefect does not know its flow run")
            case _:
                await self._hurry(services, activation)

    async def _await_claim(
        self, services: Services, activation: Activation, verdict: Verdict, since: datetime
    ) -> None:
        """Patience counts only while this relay and Kubernetes' API answered, `since` then."""
        if self._sight.is_away:
            await _say(services, activation, self._sight.blind_because)
            return
        if verdict.obstacle is Obstacle.UNCLAIMED and activation.running_since is None:
            await _save_seen_running(services, activation)
            return
        met = self._meet(services, activation, verdict.obstacle)
        await _say(services, activation, verdict.says)
        patience = PATIENCE.get(verdict.obstacle)
        if patience is not None and services.now() >= max(met, since) + patience:
            await _close(services, activation, verdict.fault)

    def _meet(self, services: Services, activation: Activation, obstacle: Obstacle) -> datetime:
        """Since when this obstacle stands. That it runs is in the ledger; the others are remembered here."""
        if obstacle is Obstacle.UNCLAIMED and activation.running_since is not None:
            return activation.running_since
        return self._obstacles.meet(_run(activation), obstacle, services.now())

    async def _cancelled(self, services: Services, activation: Activation, state: RunState) -> None:
        reason = state.message or CANCELLED_IN_PREFECT
        if activation.id not in self._told:
            self._told[activation.id] = services.now()
            await cancel(services, activation.session_id, reason, "prefect")
        if state.name == "Cancelled":
            await _close(services, activation, CANCELLED_IN_PREFECT)
        elif services.now() - self._told[activation.id] > STOP_GRACE:
            await self._remove(services, activation)

    async def _hurry(self, services: Services, activation: Activation) -> None:
        """A holder that does not let go of a cancelled session loses its flow run."""
        session = await _session(services, activation)
        if session.cancel_reason is None:
            return
        since = self._told.setdefault(activation.id, services.now())
        if services.now() - since > STOP_GRACE and activation.flow_run_id is not None:
            await services.prefect.cancel(activation.flow_run_id)

    async def _remove(self, services: Services, activation: Activation) -> None:
        """A holder that does not end, although Prefect told it to, ends with its pod; its lease runs out."""
        try:
            await services.workloads.remove(_run(activation))
        except KubernetesUnavailable as error:
            log.warning("workload not removed", reason=str(error))

    def _forget(self, activations: Sequence[Activation]) -> None:
        alive = {each.id for each in activations}
        self._told = {each: at for each, at in self._told.items() if each in alive}
        self._obstacles.keep(_runs(activations))


async def _close(services: Services, activation: Activation, reason: str) -> None:
    if await close(services, activation.session_id, activation.id, reason):
        log.warning(
            "activation closed",
            session_id=activation.session_id,
            flow_run_id=activation.flow_run_id,
            reason=reason,
        )


async def _save_seen_running(services: Services, activation: Activation) -> None:
    async with services.store.transaction() as tx:
        current = await tx.activations.lock(activation.id)
        if current.state is ActivationState.REQUESTED:
            seen = replace(current, running_since=services.now(), queued_reason=None)
            await tx.activations.save(seen)


async def _say(services: Services, activation: Activation, reason: str | None) -> None:
    if reason == activation.queued_reason:
        return
    async with services.store.transaction() as tx:
        current = await tx.activations.lock(activation.id)
        if current.state is ActivationState.REQUESTED:
            await tx.activations.save(replace(current, queued_reason=reason))
    services.nudges.nudge(events_of(activation.session_id))


async def _session(services: Services, activation: Activation) -> Session:
    async with services.store.transaction() as tx:
        return await tx.sessions.get(activation.session_id)


def _is_open(state: RunState) -> bool:
    return state.phase in (RunPhase.WAITING, RunPhase.RUNNING)


def _runs(activations: Sequence[Activation]) -> list[FlowRunId]:
    return [each.flow_run_id for each in activations if each.flow_run_id is not None]


def _run(activation: Activation) -> FlowRunId:
    """Of one that has a run."""
    return activation.flow_run_id or FlowRunId("")


def _asked(activation: Activation) -> tuple[datetime, ActivationId]:
    return activation.requested_at, activation.id


def _of(known: Mapping[FlowRunId, Known], activation: Activation, otherwise: Known) -> Known:
    return known.get(_run(activation), otherwise)
