"""One pod's life: no session, then one session, then the end. The control API and the service meet here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidecar.domain.errors import Conflict, X1Error
from sidecar.wire.control import HandOver

if TYPE_CHECKING:
    from sidecar.pod.activation import Activation


class NoSession(Conflict):
    """PUT /session first: this sidecar has no session yet."""

    code = "no_session"


class HasSession(Conflict):
    """This sidecar has its session; each activation starts its own."""

    code = "has_session"


class Pod:
    def __init__(self) -> None:
        self._handed: asyncio.Future[HandOver] = asyncio.get_running_loop().create_future()
        self._ready: asyncio.Future[Activation] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self.reason = ""

    async def hand_over(self, hand_over: HandOver) -> None:
        """Returns when the session's servers listen. The same hand-over may come again."""
        if not self._handed.done():
            self._handed.set_result(hand_over)
        elif self._handed.result().bundle.activation_id != hand_over.bundle.activation_id:
            raise HasSession
        await asyncio.shield(self._ready)

    @property
    def activation(self) -> Activation:
        if not self._ready.done():
            raise NoSession
        return self._ready.result()

    def is_ready(self, activation: Activation) -> None:
        self._ready.set_result(activation)

    def cannot(self, error: X1Error) -> None:
        """The hand-over is refused with this."""
        if not self._ready.done():
            self._ready.set_exception(error)

    def end(self, reason: str) -> None:
        """Ends this process, by whoever calls first."""
        if not self._over.is_set():
            self.reason = reason
            self._over.set()

    async def handed(self) -> HandOver | None:
        """The session, or None when the pod ended before it had one."""
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({self._handed, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
        return self._handed.result() if self._handed.done() else None

    async def over(self) -> None:
        await self._over.wait()
