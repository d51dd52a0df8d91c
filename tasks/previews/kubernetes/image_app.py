"""The Deployment and Service of a revision that was built into an image. Pure: a spec in, mappings out."""

from collections.abc import Mapping
from typing import Any, Final

from sidecar.wire.preview_spec import PreviewSpec
from sidecar.wire.previews import OperationBundle
from tasks.previews.kubernetes.environment import literals, merged, variables
from tasks.previews.kubernetes.login import login_of
from tasks.previews.kubernetes.names import Names, annotations, revision_labels, selecting
from tasks.previews.kubernetes.pods import APP_UID, RESTRICTED, pod

Object = dict[str, Any]

REQUESTS: Final = {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "64Mi"}
LIMITS: Final = {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "1Gi"}
PORT_NAME: Final = "http"
PORT: Final = 80
VOLUME_LIMIT: Final = "256Mi"
NEVER: Final = 100_000
"""Failures after which the kubelet would restart what is only slow; whether it is too slow is ours to say."""


def objects(bundle: OperationBundle, spec: PreviewSpec, image: str) -> list[Object]:
    return [_deployment(bundle, spec, image), _service(bundle)]


def _deployment(bundle: OperationBundle, spec: PreviewSpec, image: str) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(bundle),
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 0,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selecting(bundle)},
            "template": {
                "metadata": {
                    "labels": revision_labels(bundle, "app"),
                    "annotations": annotations(bundle),
                },
                "spec": pod(
                    _container(bundle, spec, image),
                    _volumes(spec),
                    uid=APP_UID,
                    login=login_of(bundle),
                ),
            },
        },
    }


def _container(bundle: OperationBundle, spec: PreviewSpec, image: str) -> Object:
    fixed = {"PORT": str(spec.port), "HOST": "0.0.0.0", "HOME": "/tmp"}  # noqa: S104, S108 - in its pod
    probe = {
        "httpGet": {"path": spec.health_path, "port": PORT_NAME},
        "timeoutSeconds": max(1, round(spec.health_timeout_seconds)),
    }
    return {
        "name": "app",
        "image": image,
        "ports": [{"name": PORT_NAME, "containerPort": spec.port}],
        "env": merged(literals(fixed), variables(bundle, spec)),
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": NEVER},
        "readinessProbe": {**probe, "periodSeconds": max(1, round(spec.health_period_seconds))},
        "resources": _resources(spec.resources),
        "securityContext": dict(RESTRICTED),
        "volumeMounts": [
            {"name": _volume(name), "mountPath": path} for name, path, _ in spec.volumes
        ],
    }


def _volumes(spec: PreviewSpec) -> list[Object]:
    return [
        {
            "name": _volume(name),
            "emptyDir": {
                "sizeLimit": VOLUME_LIMIT,
                **({"medium": "Memory"} if is_memory else {}),
            },
        }
        for name, _, is_memory in spec.volumes
    ]


def _volume(name: str) -> str:
    """A DNS label, however its name begins and ends."""
    return f"v-{name[:59]}-v"


def _resources(asked: Mapping[str, Mapping[str, str]]) -> Object:
    """Defaults under what is asked for; a limit alone is its own request, a larger request its own limit."""
    limits, requests = dict(asked.get("limits", {})), dict(asked.get("requests", {}))
    return {"requests": REQUESTS | limits | requests, "limits": LIMITS | requests | limits}


def _service(bundle: OperationBundle) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(bundle),
        "spec": {
            "selector": selecting(bundle),
            "ports": [{"name": PORT_NAME, "port": PORT, "targetPort": PORT_NAME}],
        },
    }


def _metadata(bundle: OperationBundle) -> Object:
    return {
        "name": Names.of(bundle).app,
        "labels": revision_labels(bundle, "app"),
        "annotations": annotations(bundle),
    }
