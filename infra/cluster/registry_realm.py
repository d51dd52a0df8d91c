"""Where the registry sends builds and nodes for a token: the relay's Service, by address.

Nodes resolve no Service names, and the address is known only when the Service is there; so it is written at the
install, into the ConfigMap that the registry's pod waits for.
"""

import json
from typing import Final

from infra.cluster.kubectl import Kubectl

SYSTEM: Final = "x1-system"
NAME: Final = "x1-registry"
KEY: Final = "X1_REGISTRY_TOKEN_REALM"


def ensure(kubectl: Kubectl) -> list[str]:
    """Returns what was changed or made."""
    service = kubectl.get("service", "relay", SYSTEM) or {}
    address, port = service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]
    realm = f"http://{f'[{address}]' if ':' in address else address}:{port}/registry/token"
    standing = kubectl.get("configmap", NAME, SYSTEM)
    if standing is not None and standing.get("data") == {KEY: realm}:
        return []
    labels = {"app.kubernetes.io/part-of": "x1flows"}
    metadata = {"name": NAME, "namespace": SYSTEM, "labels": labels}
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: realm}}
    kubectl.apply(json.dumps(settings))
    return [f"ConfigMap/{NAME}"]
