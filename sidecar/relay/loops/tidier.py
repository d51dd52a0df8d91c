"""The tidier: the workload of a flow run that completed is removed within seconds.

A Job's own ttl would not do: it takes those that failed too, before anybody has read why. Prefect's word is waited
for, as its worker calls a run crashed whose Job goes before its end is known.
"""

from typing import Final

import structlog

from sidecar.relay.loops.rounds import rounds
from sidecar.relay.services import Services

EVERY_SECONDS: Final = 1.0
MAX_A_PASS: Final = 20
"""A pass ends well within its loop's lease."""

log = structlog.stdlib.get_logger(__name__)


async def run(services: Services) -> None:
    await rounds(services, "tidier", tidy, every_seconds=EVERY_SECONDS)


async def tidy(services: Services) -> None:
    """One pass. Raises KubernetesUnavailable, PrefectUnavailable: the next one goes on."""
    completed = await services.workloads.completed()
    states = await services.prefect.states(completed) if completed else {}
    known = [run for run in completed if states[run].has_ended]
    for each in known[:MAX_A_PASS]:
        removed = await services.workloads.remove(each)
        log.info("completed workload removed", flow_run_id=each, removed=list(removed))
