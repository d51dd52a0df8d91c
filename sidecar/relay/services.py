"""What one relay is made of, built once in its lifespan and handed to every route and loop."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sidecar.artifacts.port import ArtifactStore
from sidecar.bus.credentials import BusUsers
from sidecar.bus.port import Bus
from sidecar.domain.ids import new_id
from sidecar.relay.activation_tokens import ActivationTokens
from sidecar.relay.forge.port import Forge
from sidecar.relay.nudges import Nudges
from sidecar.relay.prefect import Prefect
from sidecar.relay.registry.tokens import RegistryTokens
from sidecar.relay.tokens import Tokens
from sidecar.relay.workloads import NoWorkloads, Workloads
from sidecar.settings import RelaySettings
from sidecar.store.port import Store


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """`replica` names this relay in loop leases. Routes reach it as `request.app.state.services`."""

    settings: RelaySettings
    store: Store
    bus: Bus
    artifacts: ArtifactStore
    bus_users: BusUsers
    prefect: Prefect
    forge: Forge
    tokens: Tokens
    activation_tokens: ActivationTokens
    registry_tokens: RegistryTokens | None = None
    """None where previews are no images."""
    workloads: Workloads = field(default_factory=NoWorkloads)
    nudges: Nudges = field(default_factory=Nudges)
    now: Callable[[], datetime] = utc_now
    replica: str = field(default_factory=new_id)
