"""The canary: an address that a session's pod must not reach.

A network policy takes effect some time after a pod's start. Until a connection is refused, nothing of the agent's
may run, since what it opened before would stay open. The address must answer from elsewhere, or it proves nothing.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Final

from sidecar.domain.errors import Refused

ATTEMPT_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 60.0
REFUSALS: Final = 2
"""In a row: a single one may be a lost packet."""
PAUSE_SECONDS: Final = 0.1


class PolicyNotInForce(Refused):
    """The network policy of this pod is not in force; nothing of the agent's was started."""

    code = "policy_not_in_force"


class Canary:
    """Asked once, from this process's start on; everybody waits for the one answer."""

    def __init__(self, address: str, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._address = address
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._patience_seconds = patience_seconds
        self._answered = asyncio.Event()
        self._is_refused = False

    async def watch(self) -> None:
        """Returns with the answer. Never raises."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_seconds):
                await self._until_refused()
                self._is_refused = True
        self._answered.set()

    async def refused(self) -> None:
        """Raises PolicyNotInForce when the address could be reached all the time."""
        await self._answered.wait()
        if not self._is_refused:
            raise PolicyNotInForce(
                f"{self._address} can still be reached after {self._patience_seconds:g} s, or its "
                "name is not resolved: the network policy that should refuse it is not in force, "
                "so nothing of the agent's was started"
            )

    async def _until_refused(self) -> None:
        in_a_row = 0
        while in_a_row < REFUSALS:
            in_a_row = 0 if await self._is_reached() else in_a_row + 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _is_reached(self) -> bool:
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                _, writer = await asyncio.open_connection(self._host, self._port)
        except socket.gaierror:
            return True  # a name that is not resolved proves nothing
        except (OSError, TimeoutError):
            return False
        writer.transport.abort()
        return True
