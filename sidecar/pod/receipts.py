"""Receipts on their way to the relay, in order, as long as it takes; turns never wait for them."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import structlog

from sidecar.client.relay import RelayClient
from sidecar.domain.errors import WakeUnknown, X1Error

BATCH: Final = 100

log = structlog.stdlib.get_logger(__name__)


class Receipts:
    def __init__(self, relay: RelayClient) -> None:
        self._relay = relay
        self._reports: deque[tuple[list[str], str, dict[str, Any]]] = deque()
        self._is_sending = False
        self._verdict: X1Error | None = None
        self._changed = asyncio.Condition()

    async def report(self, wake_ids: Iterable[str], receipt: str, **told: Any) -> None:
        """Returns at once; `settled` says when everything arrived."""
        ids = list(wake_ids)
        async with self._changed:
            for first in range(0, len(ids), BATCH):
                self._reports.append((ids[first : first + BATCH], receipt, told))
            self._changed.notify_all()

    async def settled(self) -> None:
        """Raises the relay's verdict when there is one: then nothing arrives any more."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._verdict or (not self._reports and not self._is_sending)
            )
            if self._verdict is not None:
                raise self._verdict

    async def run(self) -> None:
        """Raises LeaseLost, SessionEnded: then there is nobody to report for."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._reports))
                wake_ids, receipt, told = self._reports.popleft()
                self._is_sending = True
            try:
                await self._relay.report(wake_ids, receipt, **told)
            except WakeUnknown as error:
                log.warning("receipt of an unknown wake", reason=str(error))
            except X1Error as error:
                self._verdict = error
                raise
            finally:
                async with self._changed:
                    self._is_sending = False
                    self._changed.notify_all()
