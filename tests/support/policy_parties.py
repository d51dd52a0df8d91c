"""Who talks on a cluster: pods with the labels that the policies look at, listening on what the real ones listen on.

A preview's labels and its policy are what a preview flow makes of it.
"""

from dataclasses import dataclass
from typing import Literal

from sidecar.domain.workspace import previews_namespace
from sidecar.wire.preview_spec import DependencySpec
from sidecar.wire.previews import OperationBundle
from tasks.previews.kubernetes import dependencies
from tasks.previews.kubernetes.names import revision_labels
from tasks.previews.kubernetes.policy import policy

NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
Protocol = Literal["TCP", "UDP"]
Port = tuple[int, Protocol]


@dataclass(frozen=True, kw_only=True)
class Party:
    """`ports` are the pod's own, as a policy sees them and not as a Service has them."""

    namespace: str
    labels: dict[str, str]
    ports: tuple[int, ...] = ()
    udp_ports: tuple[int, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether policies of ours hold it."""
        return self.namespace.startswith("x1-")


def _system(name: str, *ports: int, udp_ports: tuple[int, ...] = ()) -> Party:
    return Party(namespace="x1-system", labels={NAME: name}, ports=ports, udp_ports=udp_ports)


def _component(namespace: str, component: str) -> Party:
    return Party(namespace=namespace, labels={COMPONENT: component}, ports=(8080,))


def _bundle(branch: str, workspace: str = "default") -> OperationBundle:
    host = f"app-{branch}.previews.test"
    return OperationBundle(
        outcome="claimed",
        preview_id=branch,
        repo="acme/app",
        branch=branch,
        revision="a" * 40,
        workspace=workspace,
        url=f"https://{host}",
        alias_url=f"https://{host}",
    )


ONE, ANOTHER, ABROAD = _bundle("one"), _bundle("another"), _bundle("abroad", "another")


def _app(bundle: OperationBundle) -> Party:
    labels = revision_labels(bundle, "app")
    return Party(namespace=previews_namespace(bundle.workspace), labels=labels, ports=(8000,))


def _dependency(bundle: OperationBundle) -> Party:
    wanted = DependencySpec(kind="postgres", name="db", provides=())
    workload, _ = dependencies.server(bundle, wanted)
    labels = workload["spec"]["template"]["metadata"]["labels"]
    return Party(namespace=previews_namespace(bundle.workspace), labels=labels, ports=(5432,))


def policies_of_previews() -> list[dict]:
    """Each preview's own, which its flow makes."""
    return [_own_policy(each) for each in (ONE, ANOTHER, ABROAD)]


def _own_policy(bundle: OperationBundle) -> dict:
    made = policy(bundle)
    space = previews_namespace(bundle.workspace)
    return made | {"metadata": made["metadata"] | {"namespace": space}}


PARTIES: dict[str, Party] = {
    "session": _component("x1-sessions", "session"),
    "another session": _component("x1-sessions", "session"),
    "relay": _system("relay", 8700),
    "prefect": _system("prefect", 4200),
    "worker": _system("worker", 8080),
    "worker-previews": _system("worker-previews", 8080),
    "nats": _system("nats", 4222, 8222),
    "postgres": _system("postgres", 5432),
    "forge": _system("forge", 8600),
    "installer": _system("installer"),
    "session-dns": _system("session-dns", 5353, 8080, udp_ports=(5353,)),
    "egress": _system("egress", 3128),
    "registry": _system("registry", 5000),
    "preview flow": _component("x1-operations", "preview"),
    "build": _component("x1-builds", "build"),
    "preview": _app(ONE),
    "dependency": _dependency(ONE),
    "another preview": _app(ANOTHER),
    "another dependency": _dependency(ANOTHER),
    "preview of another workspace": _app(ABROAD),
    "dependency of another workspace": _dependency(ABROAD),
    "gateway": Party(namespace="ingress", labels={"app": "traefik"}, ports=(8443, 9000)),
    "stranger": Party(namespace="stranger", labels={}),
}

FIXED: dict[str, tuple[Port, ...]] = {
    "API server": ((443, "TCP"),),  # its Service
    "kubelet": ((10250, "TCP"),),  # a node's
    "kube-dns": ((53, "UDP"), (53, "TCP")),
    "metadata": (
        (80, "TCP"),
    ),  # 169.254.169.254: nobody answers there on a cluster without a cloud
    "internet": ((443, "TCP"),),
}
"""Parties that are not ours: an address each. `stranger`, whom no policy holds, shows that they answer."""
