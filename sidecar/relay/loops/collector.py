"""The collector: saved states of sessions that ended long ago, logs of previews that were let go as long ago, and
stored content that no row points at.

Content younger than the grace stays: it was stored a moment before its row is. What was stored again since it
was looked at stays too, so that nothing that is being pointed at is ever taken away.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog

from sidecar.relay.loops.rounds import rounds
from sidecar.relay.services import Services

EVERY_SECONDS: Final = 60.0
GRACE: Final = timedelta(hours=1)
MAX_A_PASS: Final = 20
"""A pass ends well within its loop's lease."""

log = structlog.stdlib.get_logger(__name__)


async def run(services: Services) -> None:
    await rounds(services, "collector", collect, every_seconds=EVERY_SECONDS)


async def collect(services: Services) -> None:
    now = services.now()
    retention = timedelta(days=services.settings.state_retention_days)
    async with services.store.transaction() as tx:
        dropped = await tx.snapshots.drop_ended(now - retention)
        lines = await tx.previews.drop_logs(now - retention)
    deleted = await _delete_unreferenced(services, now - GRACE)
    swept = await services.artifacts.sweep(stored_before=now - GRACE)
    if dropped or deleted or swept or lines:
        log.info("collected", dropped=dropped, deleted=deleted, swept=swept, log_lines=lines)


async def _delete_unreferenced(services: Services, stored_before: datetime) -> int:
    old = [
        each.digest
        for each in await services.artifacts.list_all()
        if each.stored_at < stored_before
    ]
    if not old:
        return 0
    async with services.store.transaction() as tx:
        kept = await tx.snapshots.digests()
    unreferenced = [each for each in old if each not in kept][:MAX_A_PASS]
    for digest in unreferenced:
        await services.artifacts.delete(digest, stored_before=stored_before)
    return len(unreferenced)
