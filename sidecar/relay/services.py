"""What one relay is made of, built once in its lifespan and handed to every route and loop."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sidecar.bus.credentials import BusUsers
from sidecar.bus.port import Bus
from sidecar.domain.ids import new_id
from sidecar.relay.forge.port import Forge
from sidecar.relay.nudges import Nudges
from sidecar.relay.prefect import Prefect
from sidecar.relay.tokens import Tokens
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
    bus_users: BusUsers
    prefect: Prefect
    forge: Forge
    tokens: Tokens
    nudges: Nudges = field(default_factory=Nudges)
    now: Callable[[], datetime] = utc_now
    replica: str = field(default_factory=new_id)
