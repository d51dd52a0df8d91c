"""The previews' loop: operations get flow runs, dead runs are replaced, old previews end, merges are settled."""

from typing import Final

from sidecar.domain.preview import PreviewStatus
from sidecar.relay import merging
from sidecar.relay.loops.rounds import rounds
from sidecar.relay.nudges import PREVIEWS
from sidecar.relay.previews.reconciling import OperationReconciler
from sidecar.relay.previews.releasing import release
from sidecar.relay.previews.starting import start_missing
from sidecar.relay.services import Services

EVERY_SECONDS: Final = 1.0
MOST_PREVIEWS: Final = 1000


async def run(services: Services) -> None:
    reconciler = OperationReconciler()

    async def one_pass(services: Services) -> None:
        await sweep(services, reconciler)

    await rounds(services, "previews", one_pass, every_seconds=EVERY_SECONDS, topic=PREVIEWS)


async def sweep(services: Services, reconciler: OperationReconciler) -> None:
    await reconciler.reconcile(services)
    await start_missing(services)
    await _expire(services)
    await merging.reconcile(services)


async def _expire(services: Services) -> None:
    now = services.now()
    async with services.store.transaction() as tx:
        due = await tx.previews.live(limit=MOST_PREVIEWS, expired_by=now)
        busy = {each.preview_id for each in await tx.operations.all_open()}
    for preview in due:
        if preview.id not in busy:
            await release(services, preview.id, "relay", PreviewStatus.EXPIRED)
