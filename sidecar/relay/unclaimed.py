"""A flow run that has not claimed its work yet: what stands in its way, what to say, and how long to bear it.

Pure. Room is waited for as long as it takes, like everything that comes by itself; what nobody could wait out
is given up after a patience. What follows then (another run, a preview that fails) is the caller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from sidecar.domain.ids import FlowRunId
from sidecar.domain.lease import CLAIM_DEADLINE
from sidecar.domain.pod_diagnosis import Cause, Diagnosis
from sidecar.relay.prefect import RunPhase, RunState
from sidecar.relay.workloads import Workload, WorkloadPhase

SCARCE: Final = (Cause.QUOTA, Cause.CAPACITY)


class Obstacle(StrEnum):
    NONE = "none"
    """It is on its way, or waits for what will come."""
    UNCLAIMED = "unclaimed"
    NEVER_MADE = "never made"
    GONE = "gone"
    OVER = "over"
    LOST = "lost"
    HOPELESS = "hopeless"


PATIENCE: Final[Mapping[Obstacle, timedelta]] = {
    Obstacle.UNCLAIMED: CLAIM_DEADLINE,
    Obstacle.NEVER_MADE: CLAIM_DEADLINE,
    Obstacle.GONE: timedelta(seconds=5),  # Prefect's own word usually comes within two
    Obstacle.OVER: timedelta(seconds=5),
    Obstacle.LOST: timedelta(seconds=20),
    Obstacle.HOPELESS: timedelta(seconds=20),  # what it misses may be just being made
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`says` is for pages while it waits; `fault` is why it was given up, if it comes to that."""

    obstacle: Obstacle = Obstacle.NONE
    says: str | None = None
    fault: str = ""


def judge(run: RunState, workload: Workload, place: str | None) -> Verdict:
    """`run` waits or runs. `place` is its own among those that wait for room."""
    why = workload.diagnosis
    match workload.phase:
        case WorkloadPhase.OVER:
            return Verdict(obstacle=Obstacle.OVER, fault=f"its pod ended unclaimed{because(why)}")
        case WorkloadPhase.MISSING if run.phase is RunPhase.RUNNING:
            return Verdict(obstacle=Obstacle.GONE, fault="its Job and its pod are gone")
        case WorkloadPhase.MISSING if run.name == "Pending":
            return Verdict(obstacle=Obstacle.NEVER_MADE, fault="there is no Job for its flow run")
        case WorkloadPhase.STARTING if why is not None:
            return _obstructed(why, place)
        case _:
            is_up = run.phase is RunPhase.RUNNING or workload.phase is WorkloadPhase.RUNNING
            return _unclaimed(why) if is_up else Verdict(says=_waits(run))


def places(
    runs: Sequence[FlowRunId], workloads: Mapping[FlowRunId, Workload]
) -> Mapping[FlowRunId, str]:
    """Of those that wait for room. `runs` come in the order in which they were asked for."""
    waiting = [run for run in runs if run in workloads and _waits_for_room(workloads[run])]
    return {run: f"position {place} of {len(waiting)}" for place, run in enumerate(waiting, 1)}


def because(why: Diagnosis | None) -> str:
    """A diagnosis as the end of a sentence."""
    return f": {why.text}" if why else ""


def worded(state: RunState) -> str:
    return f"{state.name}: {state.message}" if state.message else state.name


def _obstructed(why: Diagnosis, place: str | None) -> Verdict:
    if why.cause in SCARCE:
        return Verdict(says=f"queued: {why.cause}{f', {place}' if place else ''}; {why.text}")
    fault = f"its pod cannot start: {why.text}"
    if why.cause is Cause.LOST:
        return Verdict(obstacle=Obstacle.LOST, says=fault, fault=fault)
    if not why.is_temporary:
        return Verdict(obstacle=Obstacle.HOPELESS, says=fault, fault=fault)
    return Verdict(says=f"its pod does not start yet: {why.text}")


def _unclaimed(why: Diagnosis | None) -> Verdict:
    seconds = int(CLAIM_DEADLINE.total_seconds())
    fault = f"it did not claim within {seconds} s of running{because(why)}"
    return Verdict(obstacle=Obstacle.UNCLAIMED, fault=fault)


def _waits(run: RunState) -> str | None:
    """Only what a person can act on: a run that is merely scheduled says nothing."""
    return None if run.name in ("Scheduled", "Pending") else f"queued: {worded(run)}"


def _waits_for_room(workload: Workload) -> bool:
    why = workload.diagnosis
    return workload.phase is WorkloadPhase.STARTING and why is not None and why.cause in SCARCE
