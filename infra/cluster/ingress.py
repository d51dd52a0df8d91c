"""How this machine reaches the cluster's previews: at their door's address, trusting its CA and stamps.

The door is the Gateway or, by setting, an Ingress of the same name.
"""

import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from infra.cluster import rendering, secrets
from infra.cluster.kubectl import Kubectl
from infra.local.errors import AskedFailed
from infra.local.files import write_whole
from tasks.previews.stamps import Stamps
from tasks.previews.way import Way

DOOR: Final = ("previews", "x1-gateway")
AUTHORITY: Final = ("previews-ca", "x1-operations")
PORT: Final = 443


@contextmanager
def previews_way(kubectl: Kubectl, address: str) -> Generator[Way]:
    """`address` is `host:port`; empty: what the door's status says, and AskedFailed when it says nothing."""
    installed = rendering.installed(kubectl)
    route = installed.route if installed else "gateway"
    with tempfile.TemporaryDirectory(prefix="x1-way-") as scratch:
        folder = Path(scratch)
        yield Way(
            address=address or f"{_address(kubectl, route)}:{PORT}",
            ca_file=_ca(kubectl, folder),
            stamps=_stamps(kubectl, folder) if route == "ingress" else None,
        )


def _address(kubectl: Kubectl, route: str) -> str:
    name, namespace = DOOR
    found = kubectl.get(route, name, namespace) or {}
    for each in _addresses(found.get("status", {})):
        return each
    raise AskedFailed(
        expected=f"an address in the status of {route} {namespace}/{name}",
        came="none",
        then="x1 cluster demo --ingress HOST:PORT, the address of the ingress controller",
    )


def _addresses(status: Mapping[str, Any]) -> Iterator[str]:
    """Of a Gateway, and of an Ingress."""
    for each in status.get("addresses", ()):
        yield str(each["value"])
    for each in status.get("loadBalancer", {}).get("ingress", ()):
        yield str(each.get("ip") or each["hostname"])


def _ca(kubectl: Kubectl, folder: Path) -> Path | None:
    """None when previews have a certificate of a public authority."""
    found = kubectl.get("configmap", *AUTHORITY)
    if found is None:
        return None
    path = folder / "ca.crt"
    path.write_text(found["data"]["ca.crt"])
    return path


def _stamps(kubectl: Kubectl, folder: Path) -> Stamps:
    found = secrets.read(kubectl, secrets.STAMPS, secrets.OPERATIONS)
    if found is None:
        raise AskedFailed(
            expected=f"the Secret {secrets.STAMPS} in {secrets.OPERATIONS}",
            came="none",
            then="x1 cluster install, which makes it",
        )
    write_whole(folder / "keys", found["keys"])
    return Stamps(keys_file=folder / "keys")
