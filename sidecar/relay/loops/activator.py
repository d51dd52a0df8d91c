"""The activator, level-triggered: what needs a flow run gets one, what its run became is drawn from Prefect.

Requesting runs on every replica and reacts to a nudge at once, as rows and keys make it safe to repeat.
Reconciling polls Prefect, on one replica.
"""

import asyncio

from sidecar.relay.activating import request_missing
from sidecar.relay.loops.answering import Answering
from sidecar.relay.loops.rounds import rounds
from sidecar.relay.nudges import ACTIVATOR
from sidecar.relay.reconciling import Reconciler
from sidecar.relay.services import Services

REQUEST_EVERY_SECONDS = 1.0
RECONCILE_EVERY_SECONDS = 1.0
LIVE_FIRST_SECONDS = 0.02
"""A wake nudges this loop and rings a live session, which asks for it meanwhile: that is not to queue behind."""


async def run(services: Services) -> None:
    """Requests. A nudge that comes during a pass brings the next one at once."""
    while True:
        mark = services.nudges.mark(ACTIVATOR)
        await request_missing(services)
        await services.nudges.wait(ACTIVATOR, REQUEST_EVERY_SECONDS, mark)
        await asyncio.sleep(LIVE_FIRST_SECONDS)


async def reconcile(services: Services) -> None:
    reconciler, answering = Reconciler(), Answering()

    async def one_pass(services: Services) -> None:
        await reconciler.reconcile(services, answering.heard(services.now()))

    await rounds(services, "reconciler", one_pass, every_seconds=RECONCILE_EVERY_SECONDS)
