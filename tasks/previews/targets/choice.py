"""The target of this installation, for as long as a step of the flow needs it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.workspace import previews_namespace
from tasks.builders.buildkit import BuildKit
from tasks.builders.image_source import BuildPlace
from tasks.builders.port import Builder
from tasks.previews.kubernetes.http_routes import HttpRoutes
from tasks.previews.kubernetes.ingresses import Ingresses
from tasks.previews.kubernetes.namespace import Namespace
from tasks.previews.kubernetes.routes import KINDS, RouteWriter
from tasks.previews.kubernetes.target import Installation, KubernetesTarget
from tasks.previews.settings import PreviewSettings
from tasks.previews.stamps import Stamps
from tasks.previews.targets.local import LocalTarget
from tasks.previews.targets.port import PreviewTarget
from tasks.previews.way import Way

PATIENCE_SECONDS: Final = 300.0
"""As long an API server may be away, which restarts or is upgraded, and no build or preview fails for it."""


@asynccontextmanager
async def chosen(settings: PreviewSettings) -> AsyncGenerator[PreviewTarget]:
    if settings.preview_target == "local":
        yield LocalTarget(settings.builds_dir, settings.preview_host_socket)
        return
    api = KubernetesApi(settings.kubernetes_url, settings.kubernetes_dir, PATIENCE_SECONDS)
    builder = BuildKit(api, _place(settings))
    try:
        yield KubernetesTarget(api, builder, _installation(settings), way_of(settings))
    finally:
        await api.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """Where a sweep looks: `previews` are the namespaces of all workspaces."""

    previews: tuple[Namespace, ...]
    builder: Builder


@asynccontextmanager
async def swept(settings: PreviewSettings) -> AsyncGenerator[Swept]:
    """On a cluster. On one machine the preview host keeps its own records in order."""
    api = KubernetesApi(settings.kubernetes_url, settings.kubernetes_dir)
    kind = KINDS[settings.preview_route]
    try:
        yield Swept(
            previews=tuple(Namespace(api, each, kind) for each in _namespaces(settings).values()),
            builder=BuildKit(api, _place(settings)),
        )
    finally:
        await api.aclose()


def way_of(settings: PreviewSettings) -> Way:
    authority = settings.preview_ca_file
    return Way(
        address=settings.preview_ingress,
        ca_file=authority if authority and authority.exists() else None,
        stamps=Stamps(keys_file=settings.stamp_keys_file)
        if settings.preview_route == "ingress"
        else None,
    )


def _installation(settings: PreviewSettings) -> Installation:
    return Installation(
        previews=_namespaces(settings),
        routes=_routes(settings),
    )


def _namespaces(settings: PreviewSettings) -> dict[str, str]:
    """By workspace."""
    return {each: previews_namespace(each) for each in settings.workspaces}


def _routes(settings: PreviewSettings) -> RouteWriter:
    match settings.preview_route:
        case "gateway":
            return HttpRoutes(gateway=settings.gateway_name, namespace=settings.gateway_namespace)
        case "ingress":
            return Ingresses(
                class_name=settings.ingress_class, annotations=settings.ingress_annotations
            )


def _place(settings: PreviewSettings) -> BuildPlace:
    return BuildPlace(
        agent_image=settings.agent_image,
        buildkit_image=settings.buildkit_image,
        namespace=settings.builds_namespace,
        is_plain_registry=settings.registry_is_plain,
        authorities_file=settings.authorities_file,
        is_rootless=settings.buildkit_is_rootless,
    )
