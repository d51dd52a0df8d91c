"""Watching one build's Job and pod, from before there is a pod until its end; the log is passed on meanwhile."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.errors import KubernetesUnavailable
from sidecar.domain.pod_diagnosis import diagnose
from tasks.builders.buildkit_ending import digest_of, has_begun, is_over
from tasks.builders.buildkit_log import BuildLog
from tasks.builders.commands import Say
from tasks.builders.errors import BuildFailed, BuildLost

LOOK_EVERY_SECONDS: Final = 0.5
NOT_FOUND: Final = 404

Object = Mapping[str, Any]


class Watch:
    """`job` as the cluster answered it: its uid tells its pod from one of an earlier Job of that name."""

    def __init__(self, api: KubernetesApi, job: Object, repo: str, say: Say) -> None:
        meta = job["metadata"]
        self._api = api
        self._core = f"/api/v1/namespaces/{meta['namespace']}"
        self._job_path = f"/apis/batch/v1/namespaces/{meta['namespace']}/jobs/{meta['name']}"
        self._job_uid = str(meta["uid"])
        self._repo = repo
        self._say = say
        self._log = BuildLog()
        self._waits_for = ""

    async def ending(self) -> str:
        """The digest. Raises FetchFailed, BuildFailed, BuildLost, KubernetesUnavailable."""
        unheard = ["fetch", "build"]
        while True:
            pod = await self._pod()
            while pod is not None and unheard and has_begun(pod, unheard[0]):
                await self._follow(pod, unheard.pop(0))
                pod = await self._pod()
            if pod is not None and (digest := digest_of(pod, self._log, self._repo)):
                return digest
            await self._require_job(pod)
            await self._tell_what_it_waits_for(pod)
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _pod(self) -> Object | None:
        query = {"labelSelector": f"batch.kubernetes.io/controller-uid={self._job_uid}"}
        found = await self._api.call("GET", f"{self._core}/pods", query=query)
        return next(iter(found["items"]), None)

    async def _follow(self, pod: Object, container: str) -> None:
        """Every line once, until the container has ended. A broken stream is read again past what was heard."""
        path, heard = f"{self._core}/pods/{pod['metadata']['name']}/log", 0
        is_heard_out = False
        while not is_heard_out:
            current = await self._pod()
            is_over_now = current is None or is_over(current, container)
            count, is_whole = await self._hear(path, container, heard)
            heard += count
            is_heard_out = is_over_now and is_whole

    async def _hear(self, path: str, container: str, known: int) -> tuple[int, bool]:
        """How many lines were new, and whether the API server was there to the end.

        What it answers instead of a log, as of a pod that is gone, is no reason to end: the pod itself says more.
        """
        count, is_whole = 0, True
        try:
            async for line in self._api.lines(path, {"container": container, "follow": "true"}):
                count += 1
                if count > known and (shown := self._log.hear(line)) is not None:
                    self._say(shown)
        except KubernetesUnavailable as error:
            is_whole = error.status is not None
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        return max(0, count - known), is_whole

    async def _tell_what_it_waits_for(self, pod: Object | None) -> None:
        """Into the log, once a reason. Raises BuildFailed for what waiting does not cure."""
        if pod is not None and pod["status"].get("phase") != "Pending":
            return
        uid = self._job_uid if pod is None else pod["metadata"]["uid"]
        query = {"fieldSelector": f"involvedObject.uid={uid}"}
        found = await self._api.call("GET", f"{self._core}/events", query=query)
        diagnosis = diagnose(pod, events=found["items"])
        if diagnosis is None:
            return
        if not diagnosis.is_temporary:
            raise BuildFailed(f"the build cannot start: {diagnosis.text}")
        if diagnosis.text != self._waits_for:
            self._waits_for = diagnosis.text
            self._say(f"the build waits: {diagnosis.text}")

    async def _require_job(self, pod: Object | None) -> None:
        job = await self._job()
        failure = _failure(job)
        if failure is None:
            return
        if failure.get("reason") != "DeadlineExceeded":
            raise BuildLost(f"the build's pod is gone: {failure.get('message', '')}")
        why = "it took longer than it may" if pod or self._log.tail else "it found no room to run"
        raise BuildFailed(f"the build was ended: {why}", self._log.tail)

    async def _job(self) -> Object:
        try:
            return await self._api.call("GET", self._job_path)
        except KubernetesUnavailable as error:
            if error.status == NOT_FOUND:
                raise BuildLost("the build's Job was removed") from error
            raise


def _failure(job: Object) -> Object | None:
    conditions: Sequence[Object] = job.get("status", {}).get("conditions", ())
    return next(
        (each for each in conditions if each["type"] == "Failed" and each["status"] == "True"), None
    )
