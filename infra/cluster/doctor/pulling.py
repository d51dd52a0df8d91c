"""Whether nodes reach the installation's registry, by what the kubelet says of an image that is not there.

A registry that refuses or knows no such image has answered; a name that is not found, or TLS where there is none,
has not. So no image needs to be pushed to know.
"""

import json
import time
from typing import Any, Final

from infra.cluster.doctor.finding import Finding, failed, ok, unknown
from infra.cluster.doctor.scratch import pod, scratch_namespace
from infra.cluster.kubectl import Kubectl
from infra.cluster.secrets import SYSTEM

NAME: Final = "registry"
EXPECTED: Final = "nodes reach the registry that previews are pulled from"
PATIENCE_SECONDS: Final = 60.0
UNREACHED: Final = (
    "no such host",
    "connection refused",
    "timeout",
    "HTTP response to HTTPS client",
    "x509",
    "no route",
    "server misbehaving",
)
REACHED: Final = (
    "unauthorized",
    "authorization failed",
    "401",
    "403",
    "denied",
    "not found",
    "unknown",
)
SIGNER: Final = "/registry/token"
"""In what the kubelet says when it has reached the registry, and not the relay that it was sent to for a token."""
ELSEWHERE: Final = (
    "give the registry {host} a name and a certificate that nodes know, or tell each node's containerd "
    "its address (/etc/containerd/certs.d/{host}/hosts.toml)"
)
INSIDE: Final = """nodes know no Services: tell each one's containerd the address, as root on it (on kind: in
  docker exec -i NODE sh), with config_path = "/etc/containerd/certs.d" in its config.toml:
    mkdir -p {folder}
    echo 'server = "http://{address}"' > {folder}/hosts.toml"""
RELAY: Final = (
    "x1 cluster status says whether the relay runs, which signs pull logins; if it does, let the nodes reach it: "
    "`node_networks` in --settings, and a public_url that they resolve"
)
SERVICE: Final = ("registry", SYSTEM)
TAINTS: Final = frozenset({"NoSchedule", "NoExecute"})


def registry(kubectl: Kubectl) -> Finding:
    """Asked on each node that previews may be put on: each has a configuration of its own."""
    host = _host(kubectl)
    if host is None:
        came = "nothing is installed, or no registry is set"
        return unknown(NAME, EXPECTED, came, "x1 cluster install, then again")
    said = _asked(kubectl, f"{host}/ws/x1-doctor/none:none")
    for node, words in said.items():
        if any(each in words for each in UNREACHED):
            remedy = RELAY if SIGNER in words else _remedy(kubectl, host)
            return failed(NAME, EXPECTED, f"{node}: {words}", remedy)
    for node, words in said.items():
        if not any(each in words for each in REACHED):
            came = f"{node}: {words or 'the kubelet said nothing'}"
            return unknown(NAME, EXPECTED, came, "kubectl get events -A")
    if not said:
        return unknown(NAME, EXPECTED, "no node takes pods", "kubectl get nodes")
    return ok(NAME, EXPECTED, f"{host} answers {', '.join(said)}")


def _asked(kubectl: Kubectl, image: str) -> dict[str, str]:
    """What each node's kubelet says of an image that is not there."""
    with scratch_namespace(kubectl) as namespace:
        asking = {node: f"pulls-{number}" for number, node in enumerate(_nodes(kubectl))}
        for node, name in asking.items():
            manifest = pod(name, namespace, image, ["true"], nodeName=node)
            kubectl.apply(json.dumps(manifest))
        deadline = time.monotonic() + PATIENCE_SECONDS
        return {node: _said(kubectl, namespace, name, deadline) for node, name in asking.items()}


def _nodes(kubectl: Kubectl) -> list[str]:
    return [
        each["metadata"]["name"]
        for each in kubectl.listing("node")
        if not each["spec"].get("unschedulable")
        and not TAINTS & {taint["effect"] for taint in each["spec"].get("taints", ())}
    ]


def _remedy(kubectl: Kubectl, host: str) -> str:
    """With the very commands, where the registry is the installation's own."""
    service = kubectl.get("service", *SERVICE)
    if service is None or not host.startswith(".".join(SERVICE)):
        return ELSEWHERE.format(host=host)
    address, port = service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]
    at = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return INSIDE.format(folder=f"/etc/containerd/certs.d/{host}", address=at)


def _host(kubectl: Kubectl) -> str | None:
    found = kubectl.get("configmap", "relay", SYSTEM)
    return (found or {}).get("data", {}).get("X1_REGISTRY_HOST") or None


def _said(kubectl: Kubectl, namespace: str, name: str, deadline: float) -> str:
    """The message of the container that waits for its image."""
    while time.monotonic() < deadline:
        found: dict[str, Any] = kubectl.get("pod", name, namespace) or {}
        for each in found.get("status", {}).get("containerStatuses", ()):
            waiting = each.get("state", {}).get("waiting", {})
            if waiting.get("reason") == "ErrImagePull":
                return str(waiting.get("message", ""))
        time.sleep(0.3)
    return ""
