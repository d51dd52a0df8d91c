"""Looking at workloads without depending on it: Kubernetes' API may be away, and nothing fails because of that."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from sidecar.domain.errors import KubernetesUnavailable
from sidecar.domain.ids import FlowRunId
from sidecar.relay.services import Services
from sidecar.relay.workloads import UNSEEN, Workload

GLANCE_SECONDS = 1.0
REFUSALS = frozenset(range(400, 429))
"""From 429 on, as without any status, it is worth asking again."""

log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Sight:
    """`blind_because` says why nothing is seen; the API was last found away at `away_at`."""

    blind_because: str | None = None
    is_away: bool = False
    away_at: datetime | None = None

    async def of(
        self, services: Services, runs: Collection[FlowRunId]
    ) -> Mapping[FlowRunId, Workload]:
        """What is there; everything is unseen while the API is away, or when it refuses to tell."""
        try:
            found = await services.workloads.look(runs) if runs else {}
        except KubernetesUnavailable as error:
            self._blind(services, error)
            return dict.fromkeys(runs, UNSEEN)
        if runs and self.blind_because is not None:
            log.info("workloads are seen again")
            self.blind_because, self.is_away = None, False
        return found

    def _blind(self, services: Services, error: KubernetesUnavailable) -> None:
        """A refusal is an operator's to mend: it is said, and the relay goes on as if it had no eyes."""
        if self.blind_because is None:
            log.warning("workloads are not seen", reason=str(error))
        self.blind_because, self.is_away = str(error), error.status not in REFUSALS
        if self.is_away:
            self.away_at = services.now()


async def why(services: Services, run: FlowRunId | None) -> str:
    """A diagnosis of a flow run's workload, to end a sentence with; nothing when nothing is known."""
    if run is None:
        return ""
    found = await glance(services, run)
    return f" (its pod: {found.diagnosis.text})" if found.diagnosis else ""


async def glance(services: Services, run: FlowRunId) -> Workload:
    """For words only: what does not answer soon is unseen."""
    try:
        async with asyncio.timeout(GLANCE_SECONDS):
            return (await services.workloads.look([run])).get(run, UNSEEN)
    except (KubernetesUnavailable, TimeoutError):
        return UNSEEN
