"""The namespace of a workspace's previews, through Kubernetes' API: apply, read, remove."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, TypeVar

from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.errors import KubernetesUnavailable
from tasks.previews.errors import HostUnavailable, NotProven
from tasks.previews.kubernetes.names import MANAGER
from tasks.previews.kubernetes.routes import RouteKind

Object = dict[str, Any]
Selector = Mapping[str, str]
Answer = TypeVar("Answer")

NOT_FOUND: Final = 404
CONFLICT: Final = 409
REFUSED: Final = (400, 403, 422)
APPS: Final = "apis/apps/v1"
CORE: Final = "api/v1"
KINDS: Final[Mapping[str, str]] = {
    "HTTPRoute": "apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
    "Ingress": "apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "Deployment": f"{APPS}/namespaces/{{}}/deployments",
    "StatefulSet": f"{APPS}/namespaces/{{}}/statefulsets",
    "Service": f"{CORE}/namespaces/{{}}/services",
    "ConfigMap": f"{CORE}/namespaces/{{}}/configmaps",
    "Secret": f"{CORE}/namespaces/{{}}/secrets",
    "NetworkPolicy": "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "Pod": f"{CORE}/namespaces/{{}}/pods",
    "Event": f"{CORE}/namespaces/{{}}/events",
    "EndpointSlice": "apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
}
OWNED: Final = ("Deployment", "StatefulSet", "Service", "ConfigMap", "Secret", "NetworkPolicy")
"""In the order of removal, after the routes: nobody is led to what is going away, and the policy, by which a sweep
finds a preview of which little is left, is the last to go."""


class Namespace:
    """Raises HostUnavailable while the API is away, NotProven for what it refuses: the revision's to mend.

    `route_kind` is what leads to previews here: a cluster may not even know the other kind.
    """

    def __init__(self, api: KubernetesApi, name: str, route_kind: RouteKind) -> None:
        self._api = api
        self.name = name
        self.route_kind: RouteKind = route_kind

    async def apply(self, body: Object) -> Object:
        path = f"{self._path(body['kind'])}/{body['metadata']['name']}"
        return await _told(self._api.apply(path, body, MANAGER))

    async def create(self, body: Object) -> None:
        """Unless it stands."""
        try:
            await self._api.call("POST", self._path(body["kind"]), body=body)
        except KubernetesUnavailable as error:
            if error.status != CONFLICT:
                raise _translated(error) from _shown(error)

    async def get(self, kind: str, name: str) -> Object | None:
        try:
            return await self._api.call("GET", f"{self._path(kind)}/{name}")
        except KubernetesUnavailable as error:
            if error.status == NOT_FOUND:
                return None
            raise _translated(error) from _shown(error)

    async def find(self, kind: str, selector: Selector | None = None) -> Sequence[Object]:
        query = {"labelSelector": _written(selector)} if selector else None
        return (await _told(self._api.call("GET", self._path(kind), query=query)))["items"]

    async def remove(self, selector: Selector) -> None:
        """Everything of ours with these labels; repeatable."""
        query = {"labelSelector": _written(selector), "propagationPolicy": "Background"}
        for kind in (self.route_kind, *OWNED):
            await _told(self._api.call("DELETE", self._path(kind), query=query))

    async def log(self, pod: str, container: str, tail: int) -> list[str]:
        """Of this run of the container or, when that said nothing, of the one before."""
        path = f"{self._path('Pod')}/{pod}/log"
        for previous in ("false", "true"):
            query = {"container": container, "tailLines": str(tail), "previous": previous}
            try:
                lines = (await self._api.text(path, query)).splitlines()
            except KubernetesUnavailable:
                continue
            if lines:
                return lines
        return []

    def _path(self, kind: str) -> str:
        return "/" + KINDS[kind].format(self.name)


def _written(selector: Selector) -> str:
    return ",".join(f"{key}={value}" for key, value in selector.items())


async def _told(asked: Awaitable[Answer]) -> Answer:
    try:
        return await asked
    except KubernetesUnavailable as error:
        raise _translated(error) from _shown(error)


def _translated(error: KubernetesUnavailable) -> Exception:
    if error.status in REFUSED:
        message = f"the cluster refuses an object of it with HTTP {error.status}"
        return NotProven(message, diagnosis=f"the cluster refuses it: {error}")
    return HostUnavailable(str(error))


def _shown(error: KubernetesUnavailable) -> Exception | None:
    """A refusal quotes what it refuses, and a traceback would show it."""
    return None if error.status in REFUSED else error
