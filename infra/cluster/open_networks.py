"""Internal networks that an installation uses as it uses the internet: a registry's, a mirror's, a forge's.

Builds, preview flows, the relay and the agents' proxy reach the outside on a few ports, and builds and agents no
private range. Each network here is one more rule for all four; agents reach of it what their allow_hosts name.
"""

import json
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Final

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from infra.cluster.secrets import SYSTEM
from sidecar.egress.addresses import PLATFORM

Cidr = IPv4Network | IPv6Network

CLOSED: Final[Sequence[Cidr]] = (
    *PLATFORM,
    *map(ip_network, ("127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4")),
    *map(ip_network, ("::1/128", "fe80::/10", "ff00::/8")),
)
"""A machine's own addresses, and those at which clouds answer any of their machines."""
POLICIES: Final = ("egress", "build", "preview-flow", "relay")
WEB: Final = (80, 443)


def _without_machines(network: Cidr) -> Cidr:
    if any(network.version == each.version and network.overlaps(each) for each in CLOSED):
        raise ValueError("it has addresses of machines themselves or of a cloud's metadata")
    return network


class OpenNetwork(BaseModel):
    """As narrow as it can be: a build step is hostile code. `ports` are TCP's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cidr: Annotated[Cidr, AfterValidator(_without_machines)]
    ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(min_length=1)] = WEB


_NETWORKS: Final = TypeAdapter(tuple[OpenNetwork, ...])


def as_json(networks: tuple[OpenNetwork, ...]) -> str:
    """As x1-values keeps them; empty for none."""
    return _NETWORKS.dump_json(networks).decode() if networks else ""


def patches(text: str) -> Iterator[dict[str, Any]]:
    """Kustomize's, for networks as `as_json` wrote them."""
    networks = _NETWORKS.validate_json(text)
    rules = [{"op": "add", "path": "/spec/egress/-", "value": _rule(each)} for each in networks]
    for name in POLICIES:
        target = {"kind": "NetworkPolicy", "name": name}
        yield {"target": target, "patch": yaml.safe_dump(rules)}
    yield {"patch": yaml.safe_dump(_proxy(networks))}


def _rule(network: OpenNetwork) -> dict[str, Any]:
    ports = [{"port": each} for each in network.ports]
    return {"to": [{"ipBlock": {"cidr": str(network.cidr)}}], "ports": ports}


def _proxy(networks: Sequence[OpenNetwork]) -> dict[str, Any]:
    """It looks at addresses itself, before the policy does."""
    told = json.dumps([str(each.cidr) for each in networks])
    container = {"name": "egress", "env": [{"name": "X1_EGRESS_OPEN_NETWORKS", "value": told}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "egress", "namespace": SYSTEM},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
