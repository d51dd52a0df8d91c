"""The watchdog's judgement: is a child silent, since when, for what visible cause, and when to look again.

It wakes the caller and never kills. Any event of the child starts the count anew; the first wait is a
setting (3 minutes), the next ones grow with it: 5, 10, 20, 40, 60 minutes.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sidecar.domain.event import Event, EventType
from sidecar.domain.request import HumanRequest
from sidecar.domain.session import Activation, ActivationState, Session, SessionStatus
from sidecar.relay.workloads import UNSEEN, Workload, WorkloadPhase

STEPS: Final = (3.0, 5.0, 10.0, 20.0, 40.0, 60.0)
_PODS: Final = {
    WorkloadPhase.STARTING: "its pod is being started",
    WorkloadPhase.OVER: "its pod has ended and is about to be replaced",
}
LOOK_BACK: Final = 30
"""Events looked at for a cause."""


def patience(level: int, first_seconds: float) -> timedelta:
    """How long silence lasts before firing number `level + 1` since the last event or firing."""
    scale = STEPS[min(level, len(STEPS) - 1)] / STEPS[0]
    return timedelta(seconds=first_seconds * scale)


def last_sign(child: Session) -> datetime:
    return child.last_event_at or child.created_at


def next_look(child: Session, now: datetime, first_seconds: float) -> tuple[int, datetime]:
    """Firings so far in this silence, and when the next one is due: perhaps by now.

    A due time lies one patience after its beginning, so a sign younger than that beginning came since.
    """
    level = child.watchdog_level
    if child.quiet_until is not None and child.quiet_until > now:
        return level, child.quiet_until
    due = child.watchdog_due_at or now
    if last_sign(child) > due - patience(level, first_seconds):
        return 0, last_sign(child) + patience(0, first_seconds)
    return level, due


def cause(
    child: Session,
    newest_first: Sequence[Event],
    open_requests: Sequence[HumanRequest],
    activation: Activation | None,
    workload: Workload = UNSEEN,
) -> str:
    """What is visibly going on, in a reader's words. `workload` is that of the activation's flow run."""
    if any(asked.session_id == child.id for asked in open_requests):
        return "it waits for a human's answer"
    if child.status is SessionStatus.PARKED:
        return "it is parked: its last turn ended and it waits for a message"
    if activation is None or activation.state is ActivationState.REQUESTED:
        return _not_running(activation, workload)
    return _pod(workload) or _in_flight(newest_first)


def _not_running(activation: Activation | None, workload: Workload) -> str:
    reason = (activation.queued_reason if activation else None) or _pod(workload)
    return f"it does not run yet ({reason})" if reason else "it does not run yet"


def _pod(workload: Workload) -> str:
    """What its pod's phase explains; nothing for one that runs and is well."""
    if workload.diagnosis is not None:
        return f"its pod is in trouble: {workload.diagnosis.text}"
    return _PODS.get(workload.phase, "")


def _in_flight(newest_first: Sequence[Event]) -> str:
    finished: set[str] = set()
    for event in newest_first:
        if event.type == EventType.AGENT_TOOL_RESULT:
            finished.add(_call(event))
        elif event.type == EventType.AGENT_TOOL_CALL and _call(event) not in finished:
            return f"a tool is running: {str(event.payload.get('title') or 'unnamed')[:120]}"
        elif event.type == EventType.WAKE_READ:
            return "a model call is in flight: it began its turn and has said nothing since"
        elif event.type == EventType.WAKE_DONE:
            return "its last turn ended and it waits for a message"
    return "unknown: a model call may be in flight"


def _call(event: Event) -> str:
    payload = event.payload
    return str(payload.get("tool_call_id") or payload.get("toolCallId") or payload.get("id") or "")
