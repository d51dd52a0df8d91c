"""The wakes this session has not dealt with, fetched from the relay, which is their truth."""

import asyncio
from collections.abc import Iterable

from sidecar.client.relay import RelayClient
from sidecar.domain.wake import Receipt, Wake
from sidecar.pod.receipts import Receipts


class Inbox:
    """`look` may be called by anybody at any time; looks at the same time become one more look."""

    def __init__(self, relay: RelayClient, receipts: Receipts) -> None:
        self._relay = relay
        self._receipts = receipts
        self._waiting: dict[str, Wake] = {}
        self._dealt_with: set[str] = set()
        self._looks = asyncio.Event()
        self._changed = asyncio.Condition()

    @property
    def count(self) -> int:
        return len(self._waiting)

    def look(self) -> None:
        self._looks.set()

    async def run(self) -> None:
        while True:
            await self._looks.wait()
            self._looks.clear()
            await self.fetch()

    async def fetch(self) -> tuple[Wake, ...]:
        """All that wait now, oldest first; what is new is reported as delivered."""
        answer = await self._relay.wakes()
        found = [each.to_wake() for each in answer.wakes if each.id not in self._dealt_with]
        new = [
            wake.id
            for wake in found
            if wake.receipt is Receipt.ACCEPTED and wake.id not in self._waiting
        ]
        async with self._changed:
            # A wake dealt with while the answer travelled is not to come back.
            self._waiting = {each.id: each for each in found if each.id not in self._dealt_with}
            self._changed.notify_all()
        if new:
            await self._receipts.report(new, "delivered")
        return tuple(self._waiting.values())

    def take(self, wake_ids: Iterable[str] | None = None) -> tuple[Wake, ...]:
        """Those named, or all that wait; they are this activation's to deal with from now on."""
        named = list(self._waiting) if wake_ids is None else list(wake_ids)
        taken = tuple(self._waiting.pop(each) for each in named if each in self._waiting)
        self._dealt_with.update(each.id for each in taken)
        return taken

    async def wait(self, timeout: float | None) -> bool:
        """Whether a wake waits, after waiting for one at most so long."""
        async with self._changed:
            try:
                async with asyncio.timeout(timeout):
                    await self._changed.wait_for(lambda: bool(self._waiting))
            except TimeoutError:
                return False
            return True
