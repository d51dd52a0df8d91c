"""Waking a session: a row in the transaction of its cause, then, after the commit, the bell.

The row is the truth. A bell that is lost costs time until the next poll, never a wake.
"""

import asyncio
from typing import Any, Final

import structlog

from sidecar.domain.errors import SessionEnded, X1Error
from sidecar.domain.ids import SessionId, WakeId, new_id
from sidecar.domain.session import Session
from sidecar.domain.wake import Receipt, Wake, WakeKind
from sidecar.relay.nudges import ACTIVATOR, events_of
from sidecar.relay.services import Services
from sidecar.store.port import Transaction

BELL_TIMEOUT_SECONDS: Final = 1.0

log = structlog.stdlib.get_logger(__name__)


async def wake(
    tx: Transaction,
    services: Services,
    session_id: SessionId,
    kind: WakeKind,
    text: str,
    *,
    payload: dict[str, Any] | None = None,
    sender: str = "",
    from_session_id: SessionId | None = None,
    dedupe_key: str | None = None,
) -> Wake:
    """Inserts the wake under the session row's lock; a repeated `dedupe_key` returns the first one.

    Raises SessionUnknown, and SessionEnded for a terminal session. Ring after the commit.
    """
    session = await tx.sessions.lock(session_id)
    if session.status.is_terminal:
        raise SessionEnded(f"session {session_id} is {session.status}: it takes no more messages")
    return await insert(
        tx,
        services,
        session,
        kind,
        text,
        payload=payload,
        sender=sender,
        from_session_id=from_session_id,
        dedupe_key=dedupe_key,
    )


async def insert(
    tx: Transaction,
    services: Services,
    session: Session,
    kind: WakeKind,
    text: str,
    *,
    payload: dict[str, Any] | None = None,
    sender: str = "",
    from_session_id: SessionId | None = None,
    dedupe_key: str | None = None,
) -> Wake:
    """The same for a caller that holds the row's lock and knows that the session lives."""
    return await tx.wakes.insert(
        Wake(
            id=WakeId(new_id()),
            session_id=session.id,
            kind=kind,
            text=text,
            created_at=services.now(),
            payload=payload or {},
            sender=sender,
            from_session_id=from_session_id,
            dedupe_key=dedupe_key,
        )
    )


async def ring(services: Services, *wakes: Wake) -> None:
    """Rings after the commit. Never raises: readers also poll."""
    for each in wakes:
        services.nudges.nudge(events_of(each.session_id))
        if each.receipt is not Receipt.ACCEPTED:
            continue
        services.nudges.nudge(ACTIVATOR)
        await ring_bell(services, each.session_id, each.id)


async def ring_bell(services: Services, session_id: SessionId, what: str) -> None:
    """Never raises and never waits long for a bus that is away."""
    try:
        async with asyncio.timeout(BELL_TIMEOUT_SECONDS):
            await services.bus.ring(session_id, what)
    except (X1Error, TimeoutError) as error:
        log.warning("bell not rung", session_id=session_id, reason=str(error) or "no answer")
