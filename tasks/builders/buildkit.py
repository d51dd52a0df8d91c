"""The BuildKit builder: an image of exactly one revision, built by a Job of a cluster and pushed by digest.

The Job's name comes from the operation, and every call here may be repeated, so another process goes on where a
killed one stopped. Whatever runs in the Job is hostile: only the registry's digest is taken from it.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.errors import KubernetesUnavailable, Unavailable
from sidecar.wire.preview_spec import PreviewSpec
from tasks.builders import buildkit_job, image_registry
from tasks.builders.buildkit_jobs import Jobs
from tasks.builders.buildkit_names import job_of, tag_of
from tasks.builders.buildkit_watch import Watch
from tasks.builders.commands import Say
from tasks.builders.errors import BuildFailed, BuildLost
from tasks.builders.image_source import BuildPlace, ImageSource

MOST_TRIES: Final = 4
"""A node that goes down takes a pod or two with it, a registry restarts; more is a fault that another try does not
mend."""
FIRST_PAUSE_SECONDS: Final = 4.0
"""Doubled each time: with what the tries take themselves, a registry may be away for a minute."""
REMOVAL_SECONDS: Final = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BuildKit:
    """A Builder. A cluster or registry that is away is Unavailable; its Job then stays and is attached to."""

    api: KubernetesApi
    place: BuildPlace

    async def build(self, source: ImageSource, spec: PreviewSpec, say: Say) -> str:
        tag = tag_of(source.revision, spec)
        digest = await image_registry.digest_of(
            source,
            tag,
            is_plain=self.place.is_plain_registry,
            authorities=self.place.authorities_file,
        )
        if digest is not None:
            say(f"{source.repository}:{tag} is built already")
            return f"{source.image}@{digest}"
        wanted = buildkit_job.job(job_of(source, tag), tag, self.place, source, spec)
        return f"{source.image}@{await self._tried(source, wanted, say)}"

    async def operations(self) -> frozenset[str]:
        return await self._jobs.operations()

    async def remove(self, operation_id: str) -> None:
        await self._jobs.remove_of(operation_id)

    @property
    def _jobs(self) -> Jobs:
        return Jobs(self.api, self.place)

    async def _tried(self, source: ImageSource, wanted: dict[str, Any], say: Say) -> str:
        """The digest, in a few tries while nothing says that it is the revision's own fault."""

        def told(lost: RetryCallState) -> None:
            say(f"{lost.outcome and lost.outcome.exception()}; it is begun again")

        trying = AsyncRetrying(
            retry=retry_if_exception_type(BuildLost),
            stop=stop_after_attempt(MOST_TRIES),
            wait=wait_exponential_jitter(multiplier=FIRST_PAUSE_SECONDS),
            before_sleep=told,
            reraise=True,
        )
        try:
            return await trying(self._built, source, wanted, say)
        except BuildLost as lost:
            raise BuildFailed(f"given up after {MOST_TRIES} tries: {lost}", lost.lines) from lost

    async def _built(self, source: ImageSource, wanted: dict[str, Any], say: Say) -> str:
        name = wanted["metadata"]["name"]
        async with self._removed_at_the_end(name):
            job = await self._jobs.make(wanted)
            if job["spec"].get("suspend"):
                await self._jobs.begin(source, job)
                say(f"the build {name} begins")
            else:
                say(f"the build {name} has begun already")
            return await Watch(self.api, job, source.repo, say).ending()

    @asynccontextmanager
    async def _removed_at_the_end(self, name: str) -> AsyncGenerator[None]:
        """However it ends, but for a cluster that is away: another call attaches to what goes on there."""
        try:
            yield
        except Unavailable:
            raise
        except BaseException:
            await asyncio.shield(self._remove(name))
            raise
        await self._remove(name)

    async def _remove(self, name: str) -> None:
        """Its time to live removes the Job when this does not, or a sweep."""
        try:
            async with asyncio.timeout(REMOVAL_SECONDS):
                await self._jobs.remove(name)
        except (KubernetesUnavailable, TimeoutError) as error:
            log.warning("a build's Job stays for a while", job=name, reason=str(error))
