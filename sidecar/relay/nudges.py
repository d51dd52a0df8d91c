"""Nudges: an in-process hint that a loop or a waiting request has something to look at.

A nudge may be lost (another replica, a restart); whoever waits also polls. So nothing depends on one.
"""

import asyncio
from collections import defaultdict
from contextlib import suppress


class Nudges:
    def __init__(self) -> None:
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def nudge(self, topic: str) -> None:
        """Wakes everyone who waits on `topic` now."""
        for event in self._waiters.pop(topic, set()):
            event.set()

    async def wait(self, topic: str, timeout_seconds: float) -> None:
        """Returns at the next nudge of `topic`, or when the time is up."""
        event = asyncio.Event()
        self._waiters[topic].add(event)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), timeout_seconds)
        finally:
            self._waiters[topic].discard(event)


ACTIVATOR = "activator"
PREVIEWS = "previews"


def events_of(session_id: str) -> str:
    return f"events:{session_id}"


def operation(operation_id: str) -> str:
    return f"operation:{operation_id}"
