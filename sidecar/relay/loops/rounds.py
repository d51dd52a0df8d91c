"""Rounds: one bounded pass after another, at most one replica at a time, sooner when nudged."""

from collections.abc import Awaitable, Callable

from sidecar.domain.lease import LOOP_LEASE_TTL
from sidecar.relay.services import Services

Pass = Callable[[Services], Awaitable[None]]


async def rounds(
    services: Services,
    name: str,
    one_pass: Pass,
    *,
    every_seconds: float,
    topic: str | None = None,
) -> None:
    """Never returns. A pass must end well within the loop's lease; what it raises is the supervisor's."""
    while True:
        if await services.store.take_loop(name, services.replica, LOOP_LEASE_TTL):
            await one_pass(services)
        await services.nudges.wait(topic or f"loop:{name}", every_seconds)
