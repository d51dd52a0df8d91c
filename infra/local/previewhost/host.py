"""The host itself: deploys one revision at a time and app, keeps what runs running, keeps routes in place."""

import asyncio
import contextlib
import shutil
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from infra.local.previewhost import processes
from infra.local.previewhost.processes import NotProven
from infra.local.previewhost.proxy import Proxy, ProxyAway, Route
from infra.local.previewhost.records import App, RecordFile, Revision

CHECK_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
PROXY_PATIENCE_SECONDS = 20.0
RESTART_PROOF_SECONDS = 30.0

log = structlog.stdlib.get_logger(__name__)


class Unknown(Exception):
    """No such preview or revision here."""


class Host:
    """`root` holds the records, and each app's logs and home directory."""

    def __init__(self, root: Path, proxy: Proxy) -> None:
        self._root = root
        self._proxy = proxy
        self._file = RecordFile(root / "apps.json")
        self._records = self._file.load()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._routing = asyncio.Lock()
        """Routes are sent one list after the other: an older one must not arrive after a newer one."""
        self._pauses: dict[tuple[str, str], tuple[float, float]] = {}
        """When a revision that keeps ending may be started again, and how long to wait after that."""

    async def deploy(
        self, preview_id: str, url_host: str, wanted: Revision, seconds: float
    ) -> Revision:
        """Starts `wanted`, proves it and serves it at its alias. Raises NotProven; nothing else changes then."""
        async with self._turns[preview_id]:
            app = self._app(preview_id, url_host)
            standing = app.revisions.get(wanted.revision)
            if standing is not None:
                processes.reap(standing)
                if processes.is_alive(standing) and standing.argv == wanted.argv:
                    await processes.prove(standing, url_host, seconds)
                    await self._route()
                    return standing
                await processes.stop(standing)
            started = processes.start(wanted, self.home(preview_id))
            try:
                await processes.prove(started, url_host, seconds)
            except BaseException:
                await processes.stop(started)
                raise
            number = 1 + max((each.number for each in app.revisions.values()), default=0)
            app.revisions[wanted.revision] = started.model_copy(update={"number": number})
            await self._route()
            return started

    async def switch(self, preview_id: str, revision: str) -> None:
        """The branch's URL goes to `revision`; the others of this app end. Raises Unknown."""
        async with self._turns[preview_id]:
            app = self.get(preview_id)
            if revision not in app.revisions:
                raise Unknown(f"{preview_id} does not run {revision}")
            app.serving = revision
            await self._route()
            for other in [each for each in app.revisions.values() if each.revision != revision]:
                del app.revisions[other.revision]
                await processes.stop(other)
            await self._route()

    async def release(self, preview_id: str) -> None:
        """Repeatable."""
        async with self._turns[preview_id]:
            app = self._records.apps.pop(preview_id, None)
            await self._route()
            for revision in app.revisions.values() if app else ():
                await processes.stop(revision)
            await asyncio.to_thread(shutil.rmtree, self.home(preview_id), ignore_errors=True)

    def get(self, preview_id: str) -> App:
        if preview_id not in self._records.apps:
            raise Unknown(f"no preview {preview_id} is here")
        return self._records.apps[preview_id]

    def home(self, preview_id: str) -> Path:
        return self._root / preview_id

    def log(self, preview_id: str, lines: int) -> list[str]:
        app = self.get(preview_id)
        newest = max(app.revisions.values(), key=lambda each: each.number, default=None)
        wanted = app.serving or (newest.revision if newest else None)
        if wanted is None:
            return []
        return processes.tail(processes.log_of(self.home(preview_id), wanted), lines)

    def failed_log(self, preview_id: str, revision: str) -> list[str]:
        return processes.tail(processes.log_of(self.home(preview_id), revision), 50)

    async def keep(self) -> None:
        """For as long as the host lives: ended revisions start again with backoff, lost routes come back."""
        while True:
            await self._guarded(self._restart_ended)
            await self._guarded(self._restore_routes)
            await asyncio.sleep(CHECK_SECONDS)

    async def stop_all(self) -> None:
        """The stack ends: apps end with it, and their records stay for the next start."""
        running = [each for app in self._records.apps.values() for each in app.revisions.values()]
        async with asyncio.TaskGroup() as group:
            for revision in running:
                group.create_task(processes.stop(revision), name=f"stop {revision.revision[:8]}")

    async def _guarded(self, act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except ProxyAway as away:
            log.info("routes wait for the proxy", reason=str(away))
        except Exception:
            log.exception("a round of the preview host failed")

    async def _restart_ended(self) -> None:
        for app in list(self._records.apps.values()):
            for revision in list(app.revisions.values()):
                processes.reap(revision)
                if not processes.is_alive(revision) and self._may_start(app, revision):
                    await self._restart(app, revision.revision)

    def _may_start(self, app: App, revision: Revision) -> bool:
        due, _ = self._pauses.get((app.preview_id, revision.revision), (0.0, 0.0))
        return time.monotonic() >= due

    async def _restart(self, app: App, sha: str) -> None:
        async with self._turns[app.preview_id]:
            revision = app.revisions.get(sha)
            if revision is None or processes.is_alive(revision):
                return
            key = (app.preview_id, sha)
            pause = min(
                self._pauses.get(key, (0.0, FIRST_PAUSE_SECONDS))[1] * 2, LONGEST_PAUSE_SECONDS
            )
            self._pauses[key] = (time.monotonic() + pause, pause)
            log.info("a revision ended and starts again", preview_id=app.preview_id, revision=sha)
            with contextlib.suppress(NotProven):
                started = processes.start(revision, self.home(app.preview_id))
                app.revisions[sha] = started
                await processes.prove(started, app.url_host, RESTART_PROOF_SECONDS)
            await self._route()

    async def _restore_routes(self) -> None:
        async with self._routing:
            if not await self._proxy.is_current():
                await self._proxy.apply(self._routes())

    async def _route(self) -> None:
        """Records first: what is not recorded is not found again. A proxy that restarts is waited for."""
        self._file.save(self._records)
        deadline = time.monotonic() + PROXY_PATIENCE_SECONDS
        while True:
            try:
                async with self._routing:
                    return await self._proxy.apply(self._routes())
            except ProxyAway:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    def _routes(self) -> list[Route]:
        routes: list[Route] = []
        for app in self._records.apps.values():
            for each in app.revisions.values():
                routes.append(Route(host=each.alias_host, port=each.port, revision=each.revision))
                if each.revision == app.serving:
                    routes.append(Route(host=app.url_host, port=each.port, revision=each.revision))
        return routes

    def _app(self, preview_id: str, url_host: str) -> App:
        app = self._records.apps.setdefault(
            preview_id, App(preview_id=preview_id, url_host=url_host)
        )
        app.url_host = url_host
        return app
