"""Taking away the previews' routes of the other kind, when a Gateway is left for Ingresses or the other way round.

Flows made them, so an installation's own list does not know them, and flows of the new kind may not even look at
them. Previews that are served get their new routes from the next sweep: it finds that nothing leads to them, and
deploys them again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from infra.cluster.kubectl import Kubectl
from infra.cluster.workspaces import OF_PREVIEWS
from sidecar.domain.workspace import previews_namespace

OTHERS: Final[Mapping[str, str]] = {
    "gateway": "ingresses.networking.k8s.io",
    "ingress": "httproutes.gateway.networking.k8s.io",
}
"""What is not to be, by the route that is."""


def remove_others(kubectl: Kubectl, route: str, workspaces: Sequence[str]) -> Iterator[str]:
    """The names of what was removed."""
    kind = OTHERS[route]
    if kind not in kubectl.must("api-resources", "-o", "name").split():
        return
    for namespace in map(previews_namespace, workspaces):
        for each in kubectl.listing(kind, "-n", namespace, "-l", OF_PREVIEWS):
            name = each["metadata"]["name"]
            kubectl.must("delete", kind, name, "-n", namespace, "--ignore-not-found")
            yield f"{kind}/{name} is gone"
