"""The relay's application: routes, middleware, lifespan, in that order.

The lifespan holds, outermost first: the services (which connect when first used), then the tasks that bring
the ledger up to date and run the loops. Leaving in the reverse order is safe because a loop's pass is a
transaction: it commits or it did not happen.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from sidecar.domain.errors import X1Error
from sidecar.http_errors import exception_handlers
from sidecar.relay import health, key_set, merging, operator, pages, previews
from sidecar.relay.internal import children, git, sessions, state, wakes, work
from sidecar.relay.loops import (
    activator,
    collector,
    deadlines,
    persister,
    reaper,
    supervisor,
    sweeper,
    tidier,
    watchdog,
)
from sidecar.relay.registry import token_service
from sidecar.relay.services import Services

Build = Callable[[], AbstractAsyncContextManager[Services]]
Prepare = Callable[[], Awaitable[None]]

LONGEST_PAUSE_SECONDS: Final = 2.0

log = structlog.stdlib.get_logger(__name__)

ROUTES: Final[tuple[BaseRoute, ...]] = (
    *health.routes,
    *key_set.routes,
    *sessions.routes,
    *wakes.routes,
    *state.routes,
    *children.routes,
    *work.routes,
    *git.routes,
    *previews.routes,
    *merging.routes,
    *token_service.routes,
    *operator.routes,
    *pages.routes,
)
"""Pages come last: they answer below `/`."""


def all_loops() -> dict[str, supervisor.Loop]:
    return {
        "persister": persister.run,
        "activator": activator.run,
        "reconciler": activator.reconcile,
        "reaper": reaper.run,
        "watchdog": watchdog.run,
        "deadlines": deadlines.run,
        "previews": previews.loop.run,
        "collector": collector.run,
        "sweeper": sweeper.run,
        "tidier": tidier.run,
    }


async def already_prepared() -> None:
    """For a ledger that needs no migrations."""


def create_app(
    build: Build,
    prepare: Prepare = already_prepared,
    loops: Mapping[str, supervisor.Loop] | None = None,
) -> Starlette:
    """`build` yields the services without waiting for anybody; `prepare` brings the ledger up to date.

    The app answers at once, whoever is away: /readyz says what it waits for, and the loops (all of them when
    none are named) begin when `prepare` has succeeded.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with build() as services, asyncio.TaskGroup() as group:
            app.state.services = services
            app.state.preparation = asyncio.Event()
            work = _work(services, prepare, loops or all_loops(), app.state.preparation)
            task = group.create_task(work, name="relay work")
            try:
                yield
            finally:
                task.cancel()

    return Starlette(
        routes=ROUTES,
        exception_handlers=exception_handlers,
        lifespan=lifespan,
    )


async def _work(
    services: Services,
    prepare: Prepare,
    loops: Mapping[str, supervisor.Loop],
    prepared: asyncio.Event,
) -> None:
    await _until_prepared(prepare)
    prepared.set()
    if services.settings.loops:
        await supervisor.supervise(services, loops)


async def _until_prepared(prepare: Prepare) -> None:
    pause, said = 0.1, ""
    while True:
        try:
            await prepare()
        except X1Error as error:
            if str(error) != said:
                log.warning("relay waits", waits_for=error.code, reason=str(error))
            said = str(error)
        except Exception:
            log.exception("the ledger could not be brought up to date")
        else:
            return
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
