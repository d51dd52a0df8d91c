"""Builds' Jobs in their namespace, through Kubernetes' API: made, begun, found and removed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.errors import KubernetesUnavailable
from tasks.builders import buildkit_job
from tasks.builders.image_source import BuildPlace, ImageSource

MANAGER: Final = "x1-build"
NOT_FOUND: Final = 404
CONFLICT: Final = 409

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Jobs:
    """All verbs raise KubernetesUnavailable."""

    api: KubernetesApi
    place: BuildPlace

    async def make(self, wanted: dict[str, Any]) -> Object:
        """As it stands in the cluster, made when it is not there."""
        try:
            return await self.api.call("POST", self._path(), body=wanted)
        except KubernetesUnavailable as error:
            if error.status != CONFLICT:
                raise
        return await self.api.call("GET", self._path(wanted["metadata"]["name"]))

    async def begin(self, source: ImageSource, job: Object) -> None:
        """With this process's own tokens: those of one that was killed before may be old."""
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        secret = buildkit_job.secret(name, uid, self.place, source)
        path = f"/api/v1/namespaces/{self.place.namespace}/secrets/{name}"
        await self.api.apply(path, secret, MANAGER)
        start = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": self.place.namespace, "uid": uid},
            "spec": {"suspend": False},
        }
        await self.api.apply(self._path(name), start, MANAGER)

    async def operations(self) -> frozenset[str]:
        """Whose Jobs there are. One that never began has no deadline and no end: only this finds it."""
        return frozenset(filter(None, map(_operation, await self._all())))

    async def remove_of(self, operation_id: str) -> None:
        for each in await self._all():
            if _operation(each) == operation_id:
                await self.remove(each["metadata"]["name"])

    async def remove(self, name: str) -> None:
        """Its pod and its Secret go with it."""
        try:
            await self.api.call(
                "DELETE", self._path(name), query={"propagationPolicy": "Background"}
            )
        except KubernetesUnavailable as error:
            if error.status != NOT_FOUND:
                raise

    async def _all(self) -> list[Object]:
        selector = ",".join(f"{key}={value}" for key, value in buildkit_job.PART_OF.items())
        found = await self.api.call("GET", self._path(), query={"labelSelector": selector})
        return found["items"]

    def _path(self, name: str = "") -> str:
        jobs = f"/apis/batch/v1/namespaces/{self.place.namespace}/jobs"
        return f"{jobs}/{name}" if name else jobs


def _operation(job: Object) -> str:
    return (job["metadata"].get("annotations") or {}).get(buildkit_job.OPERATION, "")
