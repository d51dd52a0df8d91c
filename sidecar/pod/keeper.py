"""The lease keeper: renews every five seconds, for as long as the relay takes to answer.

No answer is no verdict: the keeper asks again, and every effect waits with it. LeaseLost and SessionEnded
are verdicts, and end the activation. An expired token of the current generation still renews.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import structlog

from sidecar.client.relay import RelayClient
from sidecar.domain.errors import Unavailable
from sidecar.domain.lease import RENEW_EVERY
from sidecar.wire.claim import RenewAnswer

AWAY_RETRY_SECONDS: Final = 1.0

log = structlog.stdlib.get_logger(__name__)


class Keeper:
    def __init__(
        self,
        relay: RelayClient,
        *,
        usage: Callable[[], list[dict[str, Any]]],
        activity: Callable[[], str],
        renewed: Callable[[RenewAnswer], Awaitable[None]],
    ) -> None:
        self._relay = relay
        self._usage = usage
        self._activity = activity
        self._renewed = renewed
        self._hurry = asyncio.Event()
        self._count = 0
        self._changed = asyncio.Condition()
        self.lock = asyncio.Lock()
        """Held while a renewal travels, and by whoever gives the lease up: it is not renewed meanwhile."""
        self.is_retired = False

    def renew_now(self) -> None:
        self._hurry.set()

    async def confirm(self) -> None:
        """Returns after a renewal that was asked for after this call."""
        async with self.lock:
            seen = self._count
        self.renew_now()
        async with self._changed:
            await self._changed.wait_for(lambda: self._count > seen)

    async def run(self) -> None:
        """Raises LeaseLost, SessionEnded."""
        is_away = False
        while not self.is_retired:
            try:
                answer = await self._renew()
            except Unavailable as error:
                if not is_away:
                    log.warning("lease waits for the relay", reason=str(error))
                is_away = True
                await asyncio.sleep(AWAY_RETRY_SECONDS)
                continue
            if is_away:
                log.info("the relay answers again")
            is_away = False
            if answer is not None:
                await self._renewed(answer)
            await self._pause()

    async def _renew(self) -> RenewAnswer | None:
        async with self.lock:
            if self.is_retired:
                return None
            answer = await self._relay.renew(self._usage(), self._activity())
        async with self._changed:
            self._count += 1
            self._changed.notify_all()
        return answer

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(RENEW_EVERY.total_seconds()):
                await self._hurry.wait()
        self._hurry.clear()
