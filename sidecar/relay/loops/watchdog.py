"""The watchdog loop: wakes the caller of a child that fell silent, backing off."""

from dataclasses import replace

import structlog

from sidecar.domain.event import EventType
from sidecar.domain.ids import SessionId
from sidecar.domain.session import Session
from sidecar.domain.wake import Wake, WakeKind
from sidecar.relay import waking
from sidecar.relay.family import lock_with_caller
from sidecar.relay.journal import note
from sidecar.relay.loops.rounds import rounds
from sidecar.relay.services import Services
from sidecar.relay.sighting import glance
from sidecar.relay.watchdog import LOOK_BACK, cause, last_sign, next_look, patience
from sidecar.relay.workloads import UNSEEN, Workload
from sidecar.store.port import Transaction

EVERY_SECONDS = 2.0

log = structlog.stdlib.get_logger(__name__)


async def run(services: Services) -> None:
    await rounds(services, "watchdog", look, every_seconds=EVERY_SECONDS)


async def look(services: Services) -> None:
    async with services.store.transaction() as tx:
        due = await tx.sessions.watchdog_due(services.now())
    for child in due:
        wake = await _look_at(services, child.id)
        if wake is not None:
            await waking.ring(services, wake)


async def _look_at(services: Services, child_id: SessionId) -> Wake | None:
    now, first = services.now(), services.settings.watchdog_first_seconds
    workload = await _workload(services, child_id)
    async with services.store.transaction() as tx:
        caller, child = await lock_with_caller(tx, child_id)
        if child.status.is_terminal or child.watchdog_due_at is None or child.watchdog_due_at > now:
            return None
        if caller is None or caller.status.is_terminal:
            await tx.sessions.save(replace(child, watchdog_due_at=None))
            return None
        level, due = next_look(child, now, first)
        is_due = due <= now
        if is_due:
            level, due = level + 1, now + patience(level + 1, first)
        await tx.sessions.save(replace(child, watchdog_level=level, watchdog_due_at=due))
        if not is_due:
            return None
        return await _fire(tx, services, caller, child, level, workload=workload)


async def _workload(services: Services, child_id: SessionId) -> Workload:
    """Looked at before anything is locked."""
    async with services.store.transaction() as tx:
        activation = await tx.activations.open_of(child_id)
    run = activation.flow_run_id if activation else None
    return await glance(services, run) if run else UNSEEN


async def _fire(
    tx: Transaction,
    services: Services,
    caller: Session,
    child: Session,
    level: int,
    *,
    workload: Workload,
) -> Wake:
    silent = int((services.now() - last_sign(child)).total_seconds())
    why = cause(
        child,
        await tx.events.after(child.id, 0, limit=LOOK_BACK, newest_first=True),
        await tx.requests.open(),
        await tx.activations.open_of(child.id),
        workload,
    )
    told = {
        "child_session_id": child.id,
        "slug": child.agent,
        "status": child.status.value,
        "silent_seconds": silent,
        "firing": level,
        "cause": why,
    }
    await note(tx, caller, EventType.WATCHDOG_FIRED, told)
    log.info("watchdog fired", session_id=child.id, silent_seconds=silent, cause=why)
    return await waking.insert(
        tx,
        services,
        caller,
        WakeKind.WATCHDOG,
        f"{child.agent} has been silent for {silent} seconds: {why}. "
        "Look at it, message it, keep waiting, or cancel it.",
        payload=told,
        sender="watchdog",
        from_session_id=child.id,
        dedupe_key=f"watchdog:{child.id}:{child.last_sequence}:{level}",
    )
