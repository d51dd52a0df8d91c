"""Previews in a cluster: a set of objects a revision, reached over routes.

A revision stays behind its alias until it is tidied away, whatever the branch's route leads to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.workspace import DEFAULT, unknown
from sidecar.wire.preview_abilities import Abilities
from sidecar.wire.preview_spec import PreviewSpec
from sidecar.wire.previews import OperationBundle
from tasks.builders.port import Builder
from tasks.previews.errors import NotProven
from tasks.previews.kubernetes import builds, dependencies, login, routes
from tasks.previews.kubernetes.names import PREVIEW, REVISION, ROLE, Names, selecting
from tasks.previews.kubernetes.namespace import Namespace
from tasks.previews.kubernetes.policy import policy
from tasks.previews.kubernetes.readiness import await_ready, await_served
from tasks.previews.kubernetes.revision import RevisionObjects, of_revision
from tasks.previews.kubernetes.routes import RouteWriter
from tasks.previews.operation import Operation
from tasks.previews.way import Way

Object = dict[str, Any]

PREBUILT: Final = "manifests"
PARTS: Final = ("Deployment", "StatefulSet", "Service")
"""By which a revision is found, however far its start got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Namespaces and names that the operator chose: `previews` are namespaces by their workspaces."""

    previews: Mapping[str, str]
    routes: RouteWriter
    grace_seconds: float = 60.0
    """Over what an app takes to start: a node pulls its image first."""


class KubernetesTarget:
    def __init__(
        self, api: KubernetesApi, builder: Builder, installation: Installation, way: Way
    ) -> None:
        self._builder = builder
        self._routes = installation.routes
        self._namespaces = {
            workspace: Namespace(api, name, self._routes.kind)
            for workspace, name in installation.previews.items()
        }
        self._installation = installation
        self.way = way

    def abilities(self, bundle: OperationBundle) -> Abilities:
        """Secrets and amounts were judged by the relay, which knows what the operator declared."""
        return Abilities(kinds=("dockerfile", "manifest"), secrets=frozenset(bundle.secrets))

    async def build(self, operation: Operation, spec: PreviewSpec) -> str:
        """An image by digest; manifests name images that are built already."""
        self._place(operation.bundle)
        if spec.kind == "manifest":
            return PREBUILT
        return await builds.image(self._builder, operation, spec)

    async def start(self, operation: Operation, spec: PreviewSpec, artifact: str) -> None:
        bundle = operation.bundle
        revision = of_revision(bundle, spec, artifact)
        await self._apply(bundle, spec, revision)
        await self._prove(bundle, spec, revision)

    async def switch(self, operation: Operation, spec: PreviewSpec, artifact: str) -> None:
        bundle = operation.bundle
        entry = of_revision(bundle, spec, artifact).entry
        await self._place(bundle).apply(routes.url(bundle, entry, self._routes))

    async def switch_back(self, bundle: OperationBundle) -> bool:
        here = self._place(bundle)
        route = await here.get(self._routes.kind, Names.of(bundle).route)
        if route is None or route["metadata"]["annotations"].get(REVISION) == bundle.serving:
            return False
        before = bundle.model_copy(update={"revision": bundle.serving})
        alias = await self._alias_of(before)
        if alias is None:
            await here.remove({PREVIEW: bundle.preview_id, ROLE: "url"})
        else:
            await here.apply(routes.url(before, routes.entry_of(alias), self._routes))
        return True

    async def tidy(self, bundle: OperationBundle, kept: Sequence[str]) -> None:
        here = self._place(bundle)
        mine = {PREVIEW: bundle.preview_id, ROLE: "app"}
        found = [each for kind in PARTS for each in await here.find(kind, mine)]
        there = {each["metadata"]["labels"][REVISION] for each in found}
        for revision in sorted(there - {*kept}):
            await here.remove(_whole(bundle.preview_id, revision))

    async def log(self, bundle: OperationBundle, tail: int) -> list[str]:
        here = self._place(bundle)
        pods = await here.find("Pod", selecting(bundle))
        if not pods:
            raise NotProven("no pod of this revision runs")
        newest = max(pods, key=lambda each: each["metadata"]["creationTimestamp"])
        container = newest["spec"]["containers"][0]["name"]
        return await here.log(newest["metadata"]["name"], container, tail)

    async def release(self, bundle: OperationBundle) -> None:
        """A workspace that the installation has no more took its previews with it."""
        here = self._namespaces.get(_workspace(bundle))
        if here is not None:
            await here.remove({PREVIEW: bundle.preview_id})

    async def _apply(
        self, bundle: OperationBundle, spec: PreviewSpec, revision: RevisionObjects
    ) -> None:
        """The policy first, so that the pods are never without; then what they need, then they."""
        here = self._place(bundle)
        await here.apply(policy(bundle))
        if pulls := login.secret(bundle):
            await here.apply(pulls)
        for dependency in spec.dependencies:
            await here.create(dependencies.secret(bundle, dependency))
            for each in dependencies.server(bundle, dependency):
                await here.apply(each)
        for each in revision.objects:
            await here.apply(each)
        await here.apply(routes.alias(bundle, revision.entry, self._routes))

    async def _prove(
        self, bundle: OperationBundle, spec: PreviewSpec, revision: RevisionObjects
    ) -> None:
        here = self._place(bundle)
        seconds = spec.startup_seconds + self._installation.grace_seconds
        names = Names.of(bundle)
        servers = [("Deployment", names.dependency(each)) for each in spec.dependencies]
        for kind, name in [*servers, *revision.workloads]:
            await await_ready(here, kind, name, seconds)
        await await_served(here, revision.entry.service, selecting(bundle))

    async def _alias_of(self, bundle: OperationBundle) -> Object | None:
        """The route of that revision alone, which says where the revision is entered."""
        found = await self._place(bundle).find(
            self._routes.kind, _whole(bundle.preview_id, bundle.revision) | {ROLE: "alias"}
        )
        return next(iter(found), None) if bundle.revision else None

    def _place(self, bundle: OperationBundle) -> Namespace:
        """Raises NotProven for a workspace without one: the relay refuses it, unless settings changed since."""
        here = self._namespaces.get(_workspace(bundle))
        if here is None:
            raise NotProven(unknown(_workspace(bundle)))
        return here


def _workspace(bundle: OperationBundle) -> str:
    return bundle.workspace or DEFAULT


def _whole(preview_id: str, revision: str) -> dict[str, str]:
    return {PREVIEW: preview_id, REVISION: revision}
