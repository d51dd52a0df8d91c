"""Routes where there is no Gateway API: an Ingress each. Pure.

None names a certificate: its Secret would have to lie beside it, where hostile pods run. The Ingress `previews` in
the key's namespace names it, for every host of the domain; controllers choose by the name that is asked for.
Nor has an Ingress a portable word for headers: a stamp proves what a Gateway's header says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sidecar.domain.stamp import PLACE
from tasks.previews.kubernetes.routes import Lead, RouteKind

Object = dict[str, Any]

STAMPS: Final = ("stamps", 8702)
"""The stamp service of the namespace, as infra/k8s/ingress has it: its Service, and that one's port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingresses:
    """`class_name` empty: the cluster's default. `annotations` are words for its controller."""

    class_name: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    kind: RouteKind = "Ingress"

    def write(self, metadata: Object, lead: Lead) -> Object:
        """`/` last. An exact path comes before a prefix: https://kubernetes.io/docs/concepts/services-networking/ingress/#multiple-matches"""
        paths = [
            _path("Exact", PLACE + lead.revision, *STAMPS),
            _path("Prefix", "/", lead.entry.service, lead.entry.port),
        ]
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                **metadata,
                "annotations": {**self.annotations, **metadata["annotations"]},
            },
            "spec": {
                **({"ingressClassName": self.class_name} if self.class_name else {}),
                "rules": [{"host": lead.host, "http": {"paths": paths}}],
            },
        }


def _path(kind: str, path: str, service: str, port: int) -> Object:
    backend = {"service": {"name": service, "port": {"number": port}}}
    return {"path": path, "pathType": kind, "backend": backend}
