"""Whose sites are behind the controller that serves previews: a session reaches all that it serves.

A policy opens the controller's pods to sessions, and cannot tell one host name from another. So whatever another
team has there answers an agent, whatever its allow_hosts say. Seen are HTTPRoutes and Ingresses, not controllers'
own kinds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.cluster.doctor.finding import Finding, ok, unknown, warned
from infra.cluster.kubectl import Kubectl
from infra.cluster.rendering import LABEL

NAME: Final = "neighbours"
EXPECTED: Final = "nobody else's site behind the controller that serves previews"
REMEDY: Final = (
    "a controller for previews alone, in a namespace of its own: previews.gateway_class and "
    "previews.gateway_service in --settings name it"
)
GROUP: Final = "gateway.networking.k8s.io"
CLASSES: Final[Mapping[str, tuple[str, str, str]]] = {
    "Gateway": (f"gatewayclasses.{GROUP}", "controllerName", "gatewayClassName"),
    "Ingress": ("ingressclasses.networking.k8s.io", "controller", "ingressClassName"),
}
"""By the kind of door: its classes, where a class says its controller, and where a door says its class."""
OLD_CLASS: Final = "kubernetes.io/ingress.class"
DEFAULT_CLASS: Final = "ingressclass.kubernetes.io/is-default-class"
SHOWN: Final = 6

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """`vendor` is the domain in its name: one program is another controller for Gateways than for Ingresses.

    `addresses` are where the previews are served, as far as that is known; `ours` the installation's namespaces.
    """

    vendor: str
    addresses: frozenset[str]
    ours: frozenset[str]

    def may_serve(self, other: Object) -> bool:
        """A second one of the same vendor is told by its addresses."""
        addresses = _addresses(other)
        is_elsewhere = self.addresses and addresses and not self.addresses & addresses
        return other["metadata"]["namespace"] not in self.ours and not is_elsewhere


def behind(kubectl: Kubectl, objects: Iterable[Object]) -> Finding:
    """`objects` are the installation's: the previews' door is among them."""
    door = next(
        each
        for each in objects
        if each["kind"] in CLASSES and each["metadata"]["name"] == "previews"
    )
    wanted = door["spec"][CLASSES[door["kind"]][2]]
    vendor = _vendors(kubectl, door["kind"]).get(wanted)
    if not vendor:
        return unknown(NAME, EXPECTED, f"there is no class {wanted}", "see the finding before")
    standing = kubectl.get(door["kind"], "previews", door["metadata"]["namespace"]) or {}
    ours = {each["metadata"]["name"] for each in kubectl.listing("namespace", "-l", LABEL)}
    controller = Controller(vendor=vendor, addresses=_addresses(standing), ours=frozenset(ours))
    found = sorted([*_routes(kubectl, controller), *_ingresses(kubectl, controller)])
    if not found:
        return ok(NAME, EXPECTED, f"{wanted} serves nobody else")
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return warned(NAME, EXPECTED, f"{', '.join(found[:SHOWN])}{more}", REMEDY)


def _vendors(kubectl: Kubectl, kind: str) -> dict[str, str]:
    """By class; nothing where the cluster does not know such doors."""
    resource, field, _ = CLASSES[kind]
    if kind == "Gateway" and kubectl.get("crd", resource) is None:
        return {}
    return {
        each["metadata"]["name"]: each["spec"].get(field, "").partition("/")[0]
        for each in kubectl.listing(resource)
    }


def _routes(kubectl: Kubectl, controller: Controller) -> Iterator[str]:
    """Those that go through another Gateway of the same controller."""
    vendors = _vendors(kubectl, "Gateway")
    if controller.vendor not in vendors.values():
        return
    gateways = {
        (each["metadata"]["namespace"], each["metadata"]["name"])
        for each in kubectl.listing(f"gateways.{GROUP}", "-A")
        if vendors.get(each["spec"]["gatewayClassName"]) == controller.vendor
        and controller.may_serve(each)
    }
    for route in kubectl.listing(f"httproutes.{GROUP}", "-A"):
        name, own = route["metadata"]["name"], route["metadata"]["namespace"]
        parents = route["spec"].get("parentRefs", ())
        if gateways & {(each.get("namespace", own), each["name"]) for each in parents}:
            yield f"HTTPRoute {own}/{name}"


def _ingresses(kubectl: Kubectl, controller: Controller) -> Iterator[str]:
    vendors = _vendors(kubectl, "Ingress")
    default = _default_class(kubectl)
    for ingress in kubectl.listing("ingresses.networking.k8s.io", "-A"):
        metadata = ingress["metadata"]
        old = metadata.get("annotations", {}).get(OLD_CLASS, default)
        vendor = vendors.get(ingress["spec"].get("ingressClassName", old))
        if vendor == controller.vendor and controller.may_serve(ingress):
            yield f"Ingress {metadata['namespace']}/{metadata['name']}"


def _default_class(kubectl: Kubectl) -> str:
    for each in kubectl.listing(CLASSES["Ingress"][0]):
        if each["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true":
            return str(each["metadata"]["name"])
    return ""


def _addresses(door: Object) -> frozenset[str]:
    """Of a Gateway or an Ingress, as its status says."""
    status = door.get("status", {})
    said = [each["value"] for each in status.get("addresses", ())]
    balanced = status.get("loadBalancer", {}).get("ingress", ())
    return frozenset([*said, *(each.get("ip") or each["hostname"] for each in balanced)])
