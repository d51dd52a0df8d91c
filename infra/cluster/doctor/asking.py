"""What only asking the API server tells: its version, what this operator may do, classes that are there."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from infra.cluster.doctor.finding import Finding, failed, ok
from infra.cluster.kubectl import Kubectl
from infra.cluster.secrets import SESSIONS, SYSTEM

OLDEST: Final = (1, 29)
"""Native sidecar containers are on from here."""
DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
GATEWAYS: Final = "gatewayclasses.gateway.networking.k8s.io"
CLASS: Final = "gatewayClassName"
SHOWN: Final = 6
ATTRIBUTES: Final = ".spec.resourceAttributes"
ANSWER: Final = (
    f"jsonpath={{.status.allowed}} {{{ATTRIBUTES}.verb}} "
    f"{{{ATTRIBUTES}.resource}} {{{ATTRIBUTES}.namespace}}{{'\\n'}}"
)
LISTED: Final = re.compile(
    r"(?P<name>\S+)\s+(?:\S+\s+)?(?P<api>\S*v\d\w*)\s+(?:true|false)\s+(?P<kind>\S+)"
)
"""A line of `kubectl api-resources`: name, perhaps short names, version, namespaced, kind."""


def version(kubectl: Kubectl) -> Finding:
    told = json.loads(kubectl.must("version", "-o", "json"))["serverVersion"]
    numbers = (int(told["major"]), int(re.sub(r"\D.*", "", told["minor"])))
    expected = "Kubernetes {}.{} or newer".format(*OLDEST)
    if numbers >= OLDEST:
        return ok("version", expected, told["gitVersion"])
    return failed("version", expected, told["gitVersion"], "upgrade the cluster")


def permissions(kubectl: Kubectl, objects: Iterable[Mapping[str, Any]]) -> Finding:
    """Whether everything that `objects` are can be made, changed and removed by whoever asks."""
    expected = "the right to make, change and remove what an installation consists of"
    refused = sorted(_refused(kubectl, _wanted(kubectl, objects)))
    if not refused:
        return ok("permissions", expected, "all of it is allowed")
    more = f" and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
    remedy = "install as somebody who may, such as cluster-admin: kubectl --context, or KUBECONFIG"
    return failed("permissions", expected, f"refused: {', '.join(refused[:SHOWN])}{more}", remedy)


def storage_class(kubectl: Kubectl, objects: Iterable[Mapping[str, Any]]) -> Finding:
    """Of the volumes that `objects` claim: the class that each names, or the default one."""
    found = {each["metadata"]["name"]: each for each in kubectl.listing("storageclass")}
    names = ", ".join(found) or "no StorageClass at all"
    named = {claim["spec"].get("storageClassName", "") for claim in _claims(objects)}
    expected = f"the StorageClass {', '.join(sorted(named - {''}))}, which the settings name"
    if missing := named - {""} - found.keys():
        remedy = (
            f"`storage_class:` in --settings: one that is there instead of {', '.join(missing)}"
        )
        return failed("storage", expected, names, remedy)
    if "" not in named:
        return ok("storage", expected, "it is there")
    default = [name for name, each in found.items() if _annotated(each, DEFAULT_CLASS) == "true"]
    expected = "a default StorageClass, or one that the settings name"
    if default:
        return ok("storage", expected, f"{default[0]} is the default")
    remedy = f"kubectl annotate storageclass NAME {DEFAULT_CLASS}=true, or `storage_class: NAME` in --settings"
    return failed("storage", expected, names, remedy)


def gateway(kubectl: Kubectl, objects: Iterable[Mapping[str, Any]]) -> Finding:
    """Whether the class of the Gateway among `objects` has a controller, and whether that one serves it."""
    name = str(next(each for each in objects if each["kind"] == "Gateway")["spec"][CLASS])
    expected = f"Gateway API (v1), and a controller that serves the GatewayClass {name}"
    remedy = (
        "install Gateway API's types and a controller for them, such as Traefik, Cilium or Envoy Gateway, "
        "or name an accepted class: `previews: {gateway_class: NAME}` in --settings; "
        "or have Ingresses: `previews: {route: ingress}`"
    )
    if kubectl.get("crd", GATEWAYS) is None:
        return failed("gateway", expected, "the cluster has no Gateway API", remedy)
    classes = kubectl.listing(GATEWAYS)
    accepted = [each["metadata"]["name"] for each in classes if not _refusals(each, "Accepted")]
    if name not in accepted:
        came = f"accepted: {', '.join(accepted) or 'none'}"
        return failed("gateway", expected, came, remedy)
    standing = kubectl.get("gateway", "previews", "x1-gateway")
    if standing is None:
        return ok(
            "gateway", expected, f"{name} is accepted; the Gateway comes with the installation"
        )
    if refusals := [*_refusals(standing, "Programmed"), *_unserved(standing)]:
        remedy = "kubectl -n x1-gateway describe gateway previews; listeners' ports must be the controller's"
        return failed("gateway", expected, "; ".join(refusals), remedy)
    return ok("gateway", expected, f"{name} serves the Gateway")


def _claims(objects: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for each in objects:
        yield from each["spec"].get("volumeClaimTemplates", ()) if "spec" in each else ()


def _annotated(found: Mapping[str, Any], name: str) -> str:
    return str(found["metadata"].get("annotations", {}).get(name, ""))


def _refusals(found: Mapping[str, Any], *types: str) -> list[str]:
    """In the controller's words, of each condition that is not so; one that nobody states is not so either."""
    stated = {each["type"]: each for each in found.get("status", {}).get("conditions", ())}
    none = {"status": "Unknown", "message": "no controller says so"}
    judged = {name: stated.get(name, none) for name in types}
    return [
        f"not {name}: {each.get('message') or each.get('reason')}"
        for name, each in judged.items()
        if each["status"] != "True"
    ]


def _unserved(gateway: Mapping[str, Any]) -> Iterator[str]:
    for each in gateway.get("status", {}).get("listeners", ()):
        for refusal in _refusals({"status": each}, "ResolvedRefs", "Programmed"):
            yield f"listener {each['name']} is {refusal}"


def ingress_class(kubectl: Kubectl, objects: Iterable[Mapping[str, Any]]) -> Finding:
    """Of the door among `objects`. Whether the class's controller runs, nothing in Kubernetes tells."""
    door = next(each for each in objects if each["kind"] == "Ingress")
    name = str(door["spec"]["ingressClassName"])
    expected = f"the IngressClass {name}, whose controller serves previews"
    found = [each["metadata"]["name"] for each in kubectl.listing("ingressclass")]
    if name in found:
        return ok("ingress", expected, f"{name} is there")
    came = ", ".join(found) or "no IngressClass at all"
    remedy = (
        "install an ingress controller, such as Traefik, or name a class that is there: "
        "`previews: {route: ingress, ingress_class: NAME}` in --settings"
    )
    return failed("ingress", expected, came, remedy)


def _wanted(kubectl: Kubectl, objects: Iterable[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
    """Resource, group and namespace of each; what this server does not know is another finding's."""
    resources = _resources(kubectl)
    wanted = {("secrets", "", SYSTEM), ("secrets", "", SESSIONS)}
    for each in objects:
        group = each["apiVersion"].rpartition("/")[0]
        resource = resources.get((each["kind"], group))
        if resource:
            wanted.add((resource, group, each["metadata"].get("namespace", "")))
    return wanted


def _resources(kubectl: Kubectl) -> dict[tuple[str, str], str]:
    """`deployments` by kind and group, of what this server has."""
    found: dict[tuple[str, str], str] = {}
    for line in kubectl.must("api-resources", "--no-headers").splitlines():
        match = LISTED.match(line)
        if match:
            found[match["kind"], match["api"].rpartition("/")[0]] = match["name"]
    return found


def _refused(kubectl: Kubectl, wanted: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Asked as SelfSubjectAccessReviews, all in one go."""
    reviews = [
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {
                "resourceAttributes": {
                    "verb": verb,
                    "resource": resource,
                    "group": group,
                    "namespace": namespace,
                }
            },
        }
        for resource, group, namespace in wanted
        for verb in ("create", "patch", "delete")
    ]
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": reviews})
    for line in kubectl.must("create", "-f", "-", "-o", ANSWER, given=given).splitlines():
        allowed, verb, resource, *namespace = line.split()
        if allowed != "true":
            yield " ".join([verb, resource, *(("in", *namespace) if namespace else ())])
