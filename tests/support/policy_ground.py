"""Our network policies in namespaces of their own: the overlay's, with other names, around pods that stand for ours.

So the whole table is tried without an installation, and beside one. Each pod listens and asks: a row is a
connection between two of them.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from clusters import kubectl, listed, until

from infra.cluster.workspaces import twinned

OVERLAY = Path(__file__).resolve().parents[2] / "infra" / "k8s" / "overlays" / "local"
OURS = re.compile(r"\bx1-(system|sessions|operations|builds|gateway|previews-[a-z]+)\b")
IMAGE = "python:3.11-slim"

LISTEN = """
import asyncio, json, sys
tcp, udp = json.loads(sys.argv[1])
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def datagram_received(self, data, peer): self.transport.sendto(data, peer)
async def main():
    for port in tcp:
        await asyncio.start_server(lambda _, writer: writer.close(), "0.0.0.0", port)
    for port in udp:
        await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=("0.0.0.0", port))
    await asyncio.Event().wait()
asyncio.run(main())
"""

ASK = r"""
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
QUESTION = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"
def reached(asked):
    host, port, protocol = asked
    try:
        if protocol == "TCP":
            socket.create_connection((host, port), timeout=2).close()
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
                way.settimeout(2)
                way.sendto(QUESTION, (host, port))
                way.recv(4096)
    except OSError:
        return False
    return True
asked = json.loads(sys.argv[1])
with ThreadPoolExecutor(max(1, len(asked))) as pool:
    print(json.dumps(list(pool.map(reached, asked))))
"""

Ask = tuple[str, int, str]


def rendered(prefix: str) -> list[dict[str, Any]]:
    """The overlay for two workspaces, its namespaces renamed: `x1-system` is `<prefix>system`."""
    found = [each for each in yaml.safe_load_all(kubectl("kustomize", str(OVERLAY))) if each]
    text = yaml.safe_dump_all(twinned(found, ["default", "another"]))
    renamed = OURS.sub(lambda found: prefix + found[1], text)
    return list(yaml.safe_load_all(renamed))


def pod(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    argv: list[str],
    *,
    ports: Mapping[str, int] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Restricted, as ours are. `ports` are by the names that Services have for them."""
    container = {
        "name": "main",
        "image": IMAGE,
        "command": argv,
        "ports": [{"name": key, "containerPort": port} for key, port in (ports or {}).items()],
        "resources": {
            "requests": {"cpu": "5m", "memory": "16Mi", "ephemeral-storage": "8Mi"},
            "limits": {"cpu": "500m", "memory": "96Mi", "ephemeral-storage": "32Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            **spec,
        },
    }


def ask(namespace: str, name: str, asked: list[Ask]) -> list[bool]:
    """Which of the addresses the pod reaches."""
    words = ("exec", "-n", namespace, name, "--", "python", "-c", ASK, json.dumps(asked))
    return json.loads(kubectl(*words))


@contextmanager
def namespaces(names: Iterable[str]) -> Iterator[None]:
    """Made, restricted as ours are, and removed with all that is in them."""
    wanted = sorted(set(names))
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    manifests = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each, "labels": labels}}
        for each in wanted
    ]
    try:
        apply(manifests)
        until(lambda: _have_accounts() >= {*wanted}, "the accounts that pods there run as")
        yield
    finally:
        kubectl("delete", "namespace", *wanted, "--ignore-not-found", "--wait=true", seconds=300)


def _have_accounts() -> set[str]:
    """Namespaces that take pods: each is given its `default` account a moment after it was made."""
    found = listed("serviceaccounts", "-A", "--field-selector=metadata.name=default")
    return {each["metadata"]["namespace"] for each in found}


def apply(objects: list[dict[str, Any]]) -> None:
    kubectl("apply", "--server-side", "-f", "-", given=yaml.safe_dump_all(objects))


def addresses(wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Of pods by (namespace, name), once all of them run."""
    waiting = set(wanted)

    def look() -> dict[tuple[str, str], str] | None:
        found = {}
        for namespace in {each[0] for each in waiting}:
            for each in listed("pods", "-n", namespace):
                if all(c["ready"] for c in each["status"].get("containerStatuses", [{"ready": 0}])):
                    found[namespace, each["metadata"]["name"]] = each["status"].get("podIP")
        return found if waiting <= found.keys() else None

    return until(look, "all pods", 300)
