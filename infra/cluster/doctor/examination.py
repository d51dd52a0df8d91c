"""All that is looked at, in an order in which the first failure explains the next."""

from collections.abc import Callable, Iterator

from infra.cluster.doctor import asking, door, names, neighbours, policies, processes, pulling
from infra.cluster.doctor.finding import Finding, unknown
from infra.cluster.kubectl import Kubectl
from infra.cluster.readiness import Say
from infra.cluster.rendering import Wish, render
from infra.local.errors import AskedFailed

Check = Callable[[], Finding]


def examined(kubectl: Kubectl, wish: Wish, say: Say) -> Iterator[Finding]:
    """Raises NotThere when no cluster answers; what else goes wrong is a finding."""
    kubectl.must("version", "-o", "json")
    for name, check in _checks(kubectl, wish).items():
        say(f"looking at {name}")
        try:
            yield check()
        except AskedFailed as error:
            yield unknown(name, error.expected, error.came, "ask as somebody who may look at it")


def _checks(kubectl: Kubectl, wish: Wish) -> dict[str, Check]:
    """`python` is in each of our images; the sidecar's is the smallest."""
    image = f"{wish.prefix}sidecar:{wish.tag}"
    return {
        "version": lambda: asking.version(kubectl),
        "permissions": lambda: asking.permissions(kubectl, render(kubectl, wish)),
        "storage": lambda: asking.storage_class(kubectl, render(kubectl, wish)),
        **_door(kubectl, wish),
        "gateway-service": lambda: door.service(kubectl, render(kubectl, wish)),
        "neighbours": lambda: neighbours.behind(kubectl, render(kubectl, wish)),
        "pids": lambda: processes.limits(kubectl),
        "network-policy": lambda: policies.enforcement(kubectl, image),
        "registry": lambda: pulling.registry(kubectl),
        "session-dns": lambda: names.session_dns(
            kubectl, image, door.values(render(kubectl, wish))
        ),
    }


def _door(kubectl: Kubectl, wish: Wish) -> dict[str, Check]:
    """By what previews are served: a Gateway or, by setting, Ingresses."""
    if wish.route == "gateway":
        return {"gateway": lambda: asking.gateway(kubectl, render(kubectl, wish))}
    return {"ingress": lambda: asking.ingress_class(kubectl, render(kubectl, wish))}
