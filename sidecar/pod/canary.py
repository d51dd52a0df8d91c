"""The canary: an address that a session's pod must not reach.

A network policy takes effect some time after a pod's start. Until a connection is refused, nothing of the agent's
may run, since what it opened before would stay open. A refusal counts while the control, an address that the pod
may reach, is reached: a pod without a network yet is refused everything, and nobody's policy did that.
"""

import asyncio
import socket
from typing import Final
from urllib.parse import urlsplit

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
    """Asked once, from this process's start on; everybody waits for the one answer.

    `address` is `host:port`, `control` a URL: the relay's, without whom nothing would be started anyway.
    """

    def __init__(
        self, address: str, control: str, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._address = address
        host, _, port = address.rpartition(":")
        self._place = host.strip("[]"), int(port)
        url = urlsplit(control)
        self._control = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
        self._patience_seconds = patience_seconds
        self._answered = asyncio.Event()
        self._is_refused = False

    async def watch(self) -> None:
        """Returns with the answer, and not while the control is away. Never raises."""
        self._is_refused = await self._is_refused_in_time()
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

    async def _is_refused_in_time(self) -> bool:
        now = asyncio.get_running_loop().time
        in_a_row, deadline = 0, now() + self._patience_seconds
        while in_a_row < REFUSALS and now() < deadline:
            if await _connects(*self._place, unresolved=True):
                in_a_row = 0
            elif await _connects(*self._control, unresolved=False):
                in_a_row += 1
            else:
                in_a_row, deadline = 0, now() + self._patience_seconds
            await asyncio.sleep(PAUSE_SECONDS)
        return in_a_row >= REFUSALS


async def _connects(host: str, port: int, *, unresolved: bool) -> bool:
    """`unresolved` is the answer for a name that is not resolved: it proves nothing of either address."""
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except socket.gaierror:
        return unresolved
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True
