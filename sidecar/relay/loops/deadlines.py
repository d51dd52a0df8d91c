"""Deadlines: a session that is older than its budget's wall time is cancelled, with what is below it."""

import structlog

from sidecar.relay.cancelling import cancel
from sidecar.relay.loops.rounds import rounds
from sidecar.relay.services import Services

EVERY_SECONDS = 5.0

log = structlog.stdlib.get_logger(__name__)


async def run(services: Services) -> None:
    await rounds(services, "deadlines", enforce, every_seconds=EVERY_SECONDS)


async def enforce(services: Services) -> None:
    async with services.store.transaction() as tx:
        late = await tx.sessions.past_deadline(services.now())
    for session in late:
        if session.cancel_reason is not None:
            continue
        reason = f"its deadline of {session.budget.wall_minutes} minutes has passed"
        await cancel(services, session.id, reason, "relay")
        log.info("deadline passed", session_id=session.id)
