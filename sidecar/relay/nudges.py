"""Nudges: an in-process hint that a loop or a waiting request has something to look at.

A nudge may be lost (another replica, a restart); whoever waits also polls. So nothing depends on one.
"""

import asyncio
from collections import defaultdict
from contextlib import suppress


class Nudges:
    def __init__(self) -> None:
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._marked: dict[str, int] = {}

    def nudge(self, topic: str) -> None:
        """Wakes everyone who waits on `topic` now."""
        if topic in self._marked:
            self._marked[topic] += 1
        for event in self._waiters.pop(topic, set()):
            event.set()

    def mark(self, topic: str) -> int:
        """Where `topic` stands, for a `wait` that must not miss what is nudged before it begins.

        A marked topic is counted for ever: for the few fixed ones, not for those of one session.
        """
        return self._marked.setdefault(topic, 0)

    async def wait(self, topic: str, timeout_seconds: float, mark: int | None = None) -> None:
        """Returns at the next nudge of `topic` (at once when one came after `mark`), or in time."""
        if mark is not None and self._marked.get(topic, 0) != mark:
            return
        event = asyncio.Event()
        self._waiters[topic].add(event)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await event.wait()
        finally:
            self._waiters[topic].discard(event)


ACTIVATOR = "activator"
PREVIEWS = "previews"


def events_of(session_id: str) -> str:
    return f"events:{session_id}"


def operation(operation_id: str) -> str:
    return f"operation:{operation_id}"
