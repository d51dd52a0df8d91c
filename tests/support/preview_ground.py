"""Namespaces of a test's own on a cluster: previews, their door with a certificate, a preview flow's rights.

They are made of the installation's own manifests, under other names, for a Gateway or for Ingresses.
`X1_TEST_INGRESS` is the ingress as this machine reaches it, `X1_TEST_INGRESS_PLAIN` its port without TLS,
`X1_TEST_INGRESS_INSIDE` the ingress as pods reach it;
`X1_TEST_GATEWAY_PORT` is the port that the Gateway's class listens on, `X1_TEST_INGRESS_CLASS` the other's class.
"""

import base64
import json
import os
import secrets
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import priorities
import yaml
from clusters import image, kubectl, until

from infra.cluster.certificates import make_authority, make_wildcard
from infra.cluster.kubectl import Kubectl
from infra.cluster.rendering import VALUES, Wish, render
from sidecar.client.kubernetes import KubernetesApi
from tasks.builders.buildkit import BuildKit
from tasks.builders.image_source import BuildPlace
from tasks.previews.kubernetes.http_routes import HttpRoutes
from tasks.previews.kubernetes.ingresses import Ingresses
from tasks.previews.kubernetes.namespace import Namespace
from tasks.previews.kubernetes.routes import RouteWriter
from tasks.previews.kubernetes.target import Installation, KubernetesTarget
from tasks.previews.stamps import Stamps
from tasks.previews.way import Way

INGRESS = os.environ.get("X1_TEST_INGRESS", "10.250.0.2:443")
INSIDE = os.environ.get("X1_TEST_INGRESS_INSIDE", "traefik.ingress.svc:443")
PLAIN = os.environ.get("X1_TEST_INGRESS_PLAIN", "10.250.0.2:80")
PORT = os.environ.get("X1_TEST_GATEWAY_PORT", "8443")
CLASS = os.environ.get("X1_TEST_INGRESS_CLASS", "traefik")
LABEL = "app.kubernetes.io/part-of"


@dataclass(frozen=True)
class Ground:
    name: str
    domain: str
    folder: Path
    route: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of an Ingress, as the overlay has them."""

    @property
    def previews(self) -> str:
        return f"{self.name}-previews"

    @property
    def operations(self) -> str:
        return f"{self.name}-operations"

    @property
    def gateway(self) -> str:
        return f"{self.name}-gateway"

    @property
    def way(self) -> Way:
        stamps = Stamps(keys_file=self.folder / "keys") if self.route == "ingress" else None
        return Way(address=INGRESS, ca_file=self.folder / "authority.crt", stamps=stamps)

    @property
    def writer(self) -> RouteWriter:
        if self.route == "ingress":
            return Ingresses(class_name=CLASS, annotations=self.annotations)
        return HttpRoutes(gateway="previews", namespace=self.gateway)

    def header(self, revision: str, said: str = "forged") -> str:
        """What a visitor reads as the revision: the Gateway's word, or what the app says of itself."""
        return revision if self.route == "gateway" else said

    @asynccontextmanager
    async def target(self, grace_seconds: float = 60.0) -> AsyncGenerator[KubernetesTarget]:
        """With the rights of a preview flow's service account, and no others."""
        installation = Installation(
            previews={"default": self.previews},
            routes=self.writer,
            grace_seconds=grace_seconds,
        )
        async with self._api() as api:
            builder = BuildKit(api, BuildPlace(agent_image="x1/agent"))
            yield KubernetesTarget(api, builder, installation, self.way)

    @asynccontextmanager
    async def space(self) -> AsyncGenerator[Namespace]:
        """Where its previews are, with the same rights."""
        async with self._api() as api:
            yield Namespace(api, self.previews, self.writer.kind)

    @asynccontextmanager
    async def _api(self) -> AsyncGenerator[KubernetesApi]:
        api = KubernetesApi(_server(), self.folder)
        try:
            yield api
        finally:
            await api.aclose()


@contextmanager
def ground(folder: Path, route: str = "gateway") -> Generator[Ground]:
    name = f"try-{secrets.token_hex(3)}"
    domain = f"{name}.previews.test"
    rendered = _rendered(domain, route)
    made = Ground(
        name=name,
        domain=domain,
        folder=folder,
        route=route,
        annotations=_annotations(rendered),
    )
    spaces = [made.previews, made.operations, made.gateway]
    try:
        priorities.ensure()
        objects = _objects(made, rendered)
        _apply(each for each in objects if each["kind"] == "Namespace")
        _certificate(made)
        _apply(objects)
        _credentials(made)
        until(lambda: _is_open(made), "a door that is open", 60)
        yield made
    finally:
        kubectl("delete", "namespace", "--ignore-not-found", *spaces, seconds=180)


def _annotations(rendered: Iterable[dict[str, Any]]) -> dict[str, str]:
    values = next(each for each in rendered if each["metadata"]["name"] == VALUES)
    return json.loads(values["data"]["ingress-annotations"])


def _objects(made: Ground, rendered: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Not labelled as an installation's, so that none takes them for its own."""
    text = json.dumps([each for each in rendered if _is_wanted(each)])
    for old, new in (
        ("x1-previews-default", made.previews),
        ("x1-operations", made.operations),
        ("x1-gateway", made.gateway),
    ):
        text = text.replace(old, new)
    objects: list[dict[str, Any]] = json.loads(text)
    for each in objects:
        each["metadata"]["labels"].pop(LABEL)
        if each["kind"] == "Deployment":
            each["spec"]["template"]["spec"].pop("priorityClassName")
    return objects


def _rendered(domain: str, route: str) -> list[dict[str, Any]]:
    prefix, tag = image("").rsplit(":", 1)
    values = {
        "previews-domain": domain,
        "previews-route": route,
        "gateway-port": PORT,
        "ingress-class": CLASS,
    }
    return render(Kubectl(), Wish(overlay="local", prefix=prefix, tag=tag, values=values))


def _is_wanted(each: dict[str, Any]) -> bool:
    """All of previews and door; of operations the service account: no flow runs here."""
    metadata = each["metadata"]
    space = metadata["name"] if each["kind"] == "Namespace" else metadata.get("namespace")
    if space == "x1-operations":
        return each["kind"] in ("Namespace", "ServiceAccount")
    return space in ("x1-previews-default", "x1-gateway")


def _certificate(made: Ground) -> None:
    authority = make_authority()
    wildcard = make_wildcard(authority, made.domain)
    (made.folder / "authority.crt").write_text(authority.certificate)
    data = {"tls.key": wildcard.key, "tls.crt": wildcard.certificate}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "previews-tls", "namespace": made.gateway},
        "type": "kubernetes.io/tls",
        "stringData": data,
    }
    trusted = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "previews-ca", "namespace": made.operations},
        "data": {"ca.crt": authority.certificate},
    }
    (made.folder / "keys").write_text(secrets.token_urlsafe(32))
    keys = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x1-stamps", "namespace": made.previews},
        "stringData": {"keys": (made.folder / "keys").read_text()},
    }
    _apply([secret, trusted, keys])


def _credentials(made: Ground) -> None:
    """As the kubelet lays them into a pod."""
    token = kubectl("create", "token", "preview", "-n", made.operations, "--duration", "2h")
    (made.folder / "token").write_text(token)
    authority = base64.b64decode(_cluster()["certificate-authority-data"])
    (made.folder / "ca.crt").write_bytes(authority)


def _server() -> str:
    return str(_cluster()["server"])


def _cluster() -> dict[str, Any]:
    shown = json.loads(kubectl("config", "view", "--minify", "--raw", "--flatten", "-o", "json"))
    return shown["clusters"][0]["cluster"]


def _is_open(made: Ground) -> bool:
    if made.route == "ingress":
        kubectl("rollout", "status", "deployment/stamps", "-n", made.previews, "--timeout=120s")
        return True
    gateway = json.loads(kubectl("get", "gateway", "previews", "-n", made.gateway, "-o", "json"))
    conditions = gateway.get("status", {}).get("conditions", [])
    return any(each["type"] == "Programmed" and each["status"] == "True" for each in conditions)


def _apply(objects: Iterable[dict[str, Any]]) -> None:
    kubectl("apply", "--server-side", "-f", "-", given=yaml.safe_dump_all(list(objects)))
