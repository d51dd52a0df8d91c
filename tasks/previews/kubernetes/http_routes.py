"""Routes of a Gateway: https://gateway-api.sigs.k8s.io/api-types/httproute. Pure."""

from dataclasses import dataclass
from typing import Any, Final

from tasks.previews.kubernetes.routes import Lead, RouteKind

Object = dict[str, Any]

REVISION_HEADER: Final = "X-X1-Revision"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRoutes:
    gateway: str
    namespace: str
    """The Gateway's."""
    kind: RouteKind = "HTTPRoute"

    def write(self, metadata: Object, lead: Lead) -> Object:
        """Says which revision it leads to in each answer; what the app says of itself is overwritten."""
        header = {"set": [{"name": REVISION_HEADER, "value": lead.revision}]}
        return {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": metadata,
            "spec": {
                "parentRefs": [{"name": self.gateway, "namespace": self.namespace}],
                "hostnames": [lead.host],
                "rules": [
                    {
                        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                        "filters": [
                            {"type": "ResponseHeaderModifier", "responseHeaderModifier": header}
                        ],
                        "backendRefs": [{"name": lead.entry.service, "port": lead.entry.port}],
                    }
                ],
            },
        }
