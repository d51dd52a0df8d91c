"""Whether the Service by which previews are reached is there: a setting names it, nobody finds it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from infra.cluster.doctor.finding import Finding, failed, ok
from infra.cluster.kubectl import Kubectl
from infra.cluster.rendering import VALUES

NAME: Final = "gateway-service"
PORT: Final = 443
SHOWN: Final = 4
SLICES: Final = "endpointslices.discovery.k8s.io"


def service(kubectl: Kubectl, objects: Iterable[Mapping[str, Any]]) -> Finding:
    """Of the installation's `objects`: the Service before the controller's pods, with pods that are ready."""
    host = values(objects)["gateway-service"]
    name, namespace = host.split(".")[:2]
    expected = f"the Service {name} in {namespace}, before the controller's pods, with port {PORT}"
    remedy = (
        "the controller's Service by its whole name: `previews: {gateway_service: …}` in --settings"
    )
    found = kubectl.get("service", name, namespace)
    if found is None:
        return failed(NAME, expected, f"it is not there; {_others(kubectl)}", remedy)
    if PORT not in _ports(found):
        came = f"its ports are {', '.join(map(str, _ports(found)))}"
        return failed(NAME, expected, came, remedy)
    if not _is_served(kubectl, name, namespace):
        remedy = f"kubectl -n {namespace} get endpointslices -l kubernetes.io/service-name={name}"
        return failed(NAME, expected, "no pod behind it is ready", remedy)
    return ok(NAME, expected, "it is there, and pods are behind it")


def values(objects: Iterable[Mapping[str, Any]]) -> Mapping[str, str]:
    """What the installation's manifests were filled with."""
    return next(each["data"] for each in objects if each["metadata"]["name"] == VALUES)


def _ports(found: Mapping[str, Any]) -> list[int]:
    return [int(each["port"]) for each in found["spec"].get("ports", ())]


def _is_served(kubectl: Kubectl, name: str, namespace: str) -> bool:
    words = ("-n", namespace, "-l", f"kubernetes.io/service-name={name}")
    return any(
        endpoint.get("conditions", {}).get("ready") is not False
        for each in kubectl.listing(SLICES, *words)
        for endpoint in each.get("endpoints") or ()
    )


def _others(kubectl: Kubectl) -> str:
    """What it may be instead: whatever lets in from outside at this port."""
    found = [
        f"{each['metadata']['name']}.{each['metadata']['namespace']}"
        for each in kubectl.listing("service", "-A")
        if each["spec"].get("type") in ("LoadBalancer", "NodePort") and PORT in _ports(each)
    ]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"open at {PORT} are {', '.join(found[:SHOWN])}{more}" if found else "none is like it"
