"""Since when something stands in the way of flow runs that have not claimed their work."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sidecar.domain.ids import FlowRunId
from sidecar.relay.unclaimed import Obstacle


@dataclass(slots=True)
class Obstacles:
    """Remembered by one replica; another that takes over counts anew."""

    _met: dict[FlowRunId, tuple[Obstacle, datetime]] = field(
        default_factory=dict[FlowRunId, tuple[Obstacle, datetime]]
    )

    def meet(self, run: FlowRunId, obstacle: Obstacle, now: datetime) -> datetime:
        """Since when this one stands; the count begins with another."""
        known, at = self._met.get(run, (None, now))
        self._met[run] = (obstacle, at if known is obstacle else now)
        return self._met[run][1]

    def keep(self, runs: Collection[FlowRunId]) -> None:
        """Forgets all others."""
        self._met = {run: met for run, met in self._met.items() if run in runs}
