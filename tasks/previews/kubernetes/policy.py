"""The network policy among a preview's own pods. Pure."""

from typing import Any

from sidecar.wire.previews import OperationBundle
from tasks.previews.kubernetes.names import PREVIEW, Names, annotations, labels

Object = dict[str, Any]


def policy(bundle: OperationBundle) -> Object:
    """A preview's pods reach one another: the app its dependencies, and nobody else's."""
    mine = {"podSelector": {"matchLabels": {PREVIEW: bundle.preview_id}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": Names.of(bundle).route,
            "labels": labels(bundle, "policy"),
            "annotations": annotations(bundle),
        },
        "spec": {
            **mine,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [mine]}],
            "egress": [{"to": [mine]}],
        },
    }
