"""Keeps the loops going: each in a named task, a failed one logged and started again with backoff.

A loop that waits for a part that is away says so in one line; anything else is a fault and brings its
traceback. Cancelling the supervisor ends them all.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from sidecar.domain.errors import Unavailable
from sidecar.relay.services import Services

Loop = Callable[[Services], Awaitable[None]]

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 5.0
HEALTHY_AFTER_SECONDS: Final = 30.0
"""A loop that ran this long starts again at the shortest pause."""

log = structlog.stdlib.get_logger(__name__)


async def supervise(services: Services, loops: Mapping[str, Loop]) -> None:
    """Runs until cancelled."""
    async with asyncio.TaskGroup() as group:
        for name, loop in loops.items():
            group.create_task(_keep(services, name, loop), name=f"relay loop {name}")


async def _keep(services: Services, name: str, loop: Loop) -> None:
    pause = FIRST_PAUSE_SECONDS
    clock = asyncio.get_running_loop().time
    while True:
        began = clock()
        try:
            await loop(services)
        except Exception as error:  # noqa: BLE001 - a background-work guard
            _say(name, error)
        if clock() - began > HEALTHY_AFTER_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _say(name: str, error: Exception) -> None:
    absent = _absent(error)
    if absent is not None:
        log.warning("loop waits", loop=name, waits_for=absent.code, reason=str(absent))
    else:
        log.error("loop failed", loop=name, exc_info=error)


def _absent(error: BaseException) -> Unavailable | None:
    """What is away, when that is all that is wrong, in a task group's error too."""
    if isinstance(error, BaseExceptionGroup):
        found = [_absent(each) for each in error.exceptions]
        return found[0] if all(found) else None
    return error if isinstance(error, Unavailable) else None
