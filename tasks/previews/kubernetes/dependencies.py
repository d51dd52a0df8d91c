"""Servers beside a preview: a PostgreSQL or a Redis of its own, empty at first, gone with it. Pure."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sidecar.wire.preview_spec import DependencySpec
from sidecar.wire.previews import OperationBundle
from tasks.previews.kubernetes.environment import literals
from tasks.previews.kubernetes.environment import secret as secret_object
from tasks.previews.kubernetes.names import DEPENDENCY, PREVIEW, Names, annotations, labels
from tasks.previews.kubernetes.pods import RESTRICTED, pod

Object = dict[str, Any]

DATA: Final = "/data"
UID: Final = 999
"""Of both images' own user."""


_REDIS: Final = """umask 077
printf 'requirepass "%s"\\n' "$REDIS_PASSWORD" >/data/redis.conf
exec redis-server /data/redis.conf --bind 0.0.0.0 --save "" --dir /data"""
"""By a file: an argument would show the password to whoever lists processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one kind is run. `url` is filled with host and password; the server reads `password_variable`."""

    image: str
    port: int
    user: str
    database: str
    url: str
    password_variable: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    folders: tuple[str, ...] = ()


KINDS: Final[Mapping[str, Kind]] = {
    "postgres": Kind(
        image="postgres:18",
        port=5432,
        user="app",
        database="app",
        url="postgresql://app:{password}@{host}:5432/app",
        password_variable="POSTGRES_PASSWORD",  # noqa: S106 - a name
        env={"POSTGRES_USER": "app", "POSTGRES_DB": "app", "PGDATA": f"{DATA}/pgdata"},
        folders=("/var/run/postgresql",),
    ),
    "redis": Kind(
        image="redis:8",
        port=6379,
        user="default",
        database="0",
        url="redis://default:{password}@{host}:6379/0",
        password_variable="REDIS_PASSWORD",  # noqa: S106 - a name
        command=("sh", "-c", _REDIS),
    ),
}


def secret(bundle: OperationBundle, dependency: DependencySpec) -> Object:
    """Made once for a preview: its password outlives the revisions, as its server does."""
    kind, name = KINDS[dependency.kind], Names.of(bundle).dependency(dependency)
    password = secrets.token_urlsafe(24)
    content = {
        "url": kind.url.format(password=password, host=name),
        "host": name,
        "port": str(kind.port),
        "user": kind.user,
        "password": password,
        "database": kind.database,
    }
    return secret_object(name, labels(bundle, "dependency"), content, annotations(bundle))


def server(bundle: OperationBundle, dependency: DependencySpec) -> list[Object]:
    """Its Deployment and Service."""
    kind, name = KINDS[dependency.kind], Names.of(bundle).dependency(dependency)
    selector = {PREVIEW: bundle.preview_id, DEPENDENCY: name}
    tags = labels(bundle, "dependency") | selector
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": _metadata(bundle, name),
            "spec": {
                "replicas": 1,
                "revisionHistoryLimit": 0,
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": selector},
                "template": {"metadata": {"labels": tags}, "spec": _pod(kind, dependency, name)},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _metadata(bundle, name),
            "spec": {
                "selector": selector,
                "ports": [{"name": "server", "port": kind.port, "targetPort": "server"}],
            },
        },
    ]


def _pod(kind: Kind, dependency: DependencySpec, secret_name: str) -> Object:
    password = {"secretKeyRef": {"name": secret_name, "key": "password"}}
    container: Object = {
        "name": dependency.kind,
        "image": kind.image,
        "env": [*literals(kind.env or {}), {"name": kind.password_variable, "valueFrom": password}],
        "ports": [{"name": "server", "containerPort": kind.port}],
        "readinessProbe": {"tcpSocket": {"port": "server"}, "periodSeconds": 2},
        "resources": {
            "requests": {"cpu": "50m", "memory": "96Mi", "ephemeral-storage": "64Mi"},
            "limits": {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "3Gi"},
        },
        "securityContext": dict(RESTRICTED),
        "volumeMounts": [
            {"name": "data", "mountPath": DATA},
            *({"name": f"f-{n}", "mountPath": path} for n, path in enumerate(kind.folders)),
        ],
    }
    if kind.command:
        container["command"] = list(kind.command)
    volumes: list[Object] = [
        {"name": "data", "emptyDir": {"sizeLimit": "2Gi"}},
        *({"name": f"f-{n}", "emptyDir": {"sizeLimit": "1Mi"}} for n in range(len(kind.folders))),
    ]
    return pod(container, volumes, uid=UID)


def _metadata(bundle: OperationBundle, name: str) -> Object:
    return {
        "name": name,
        "labels": labels(bundle, "dependency"),
        "annotations": annotations(bundle),
    }
