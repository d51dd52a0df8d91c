"""The reaper: a holder that let a full lease of answers pass is replaced.

Nothing is taken from anybody before this relay has answered for one whole ttl without a break.
"""

from datetime import datetime

import structlog

from sidecar.domain.ids import SessionId
from sidecar.domain.lease import is_expired
from sidecar.relay.aftermath import change
from sidecar.relay.family import lock_with_caller
from sidecar.relay.loops.answering import Answering
from sidecar.relay.loops.rounds import rounds
from sidecar.relay.services import Services
from sidecar.relay.settling import let_go, settle
from sidecar.relay.sighting import why

EVERY_SECONDS = 1.0
REASON = "its holder stopped renewing the lease"

log = structlog.stdlib.get_logger(__name__)


async def run(services: Services) -> None:
    answering = Answering()

    async def one_pass(services: Services) -> None:
        await reap(services, answering)

    await rounds(services, "reaper", one_pass, every_seconds=EVERY_SECONDS)


async def reap(services: Services, answering: Answering) -> None:
    async with services.store.transaction() as tx:
        silent = await tx.sessions.with_expired_lease(services.now())
    since = answering.heard(services.now())
    for session in silent:
        if is_expired(session.lease_expires_at, services.now(), since):
            await _replace(services, session.id, since)


async def _replace(services: Services, session_id: SessionId, since: datetime) -> None:
    reason = f"{REASON}{await _why(services, session_id)}"
    async with change(services) as made:
        caller, session = await lock_with_caller(made.tx, session_id)
        expires_at = session.lease_expires_at
        if session.status.is_terminal or not is_expired(expires_at, services.now(), since):
            return
        activation = await made.tx.activations.open_of(session_id)
        if activation is None:
            await let_go(made, caller, session, reason, is_barren=True)
        else:
            await settle(made, caller, session, activation, reason)
            if activation.flow_run_id is not None:
                made.aftermath.abandoned.append((activation.flow_run_id, reason))
    log.warning("lease expired", session_id=session_id, generation=session.generation)


async def _why(services: Services, session_id: SessionId) -> str:
    """Asked before anything is locked."""
    async with services.store.transaction() as tx:
        activation = await tx.activations.open_of(session_id)
    return await why(services, activation.flow_run_id if activation else None)
