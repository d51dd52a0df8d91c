"""The verbs of a sweep, each a task run in its graph: ask the ledger, look, settle the difference, remove."""

from collections.abc import Sequence
from typing import Final

from sidecar.client.operations import OperationsClient
from sidecar.wire.preview_sweeps import (
    PreviewRevision,
    ServedAnswer,
    ServedPreview,
    ServedRequest,
    SweepAnswer,
    SweepRequest,
)
from tasks.builders.port import Builder
from tasks.previews import steps
from tasks.previews.kubernetes.inventory import Inventory, look, together
from tasks.previews.kubernetes.names import PREVIEW, REVISION
from tasks.previews.kubernetes.namespace import Namespace
from tasks.previews.settings import PreviewSettings

RETRIES: Final = 3
PAUSES_SECONDS: Final = [2.0, 5.0, 10.0]
"""For what is away for a moment; whoever is away longer is there at the next sweep."""


@steps.step(name="ledger", retries=RETRIES, retry_delay_seconds=PAUSES_SECONDS)
async def ledger(relay: OperationsClient, settings: PreviewSettings, nonce: str) -> ServedAnswer:
    """Before it is looked: what is served by then must be found."""
    return await relay.served(settings.activation_token(), ServedRequest(nonce=nonce))


@steps.step(name="look", retries=RETRIES, retry_delay_seconds=PAUSES_SECONDS)
async def inventory(here: Sequence[Namespace]) -> Inventory:
    """All or nothing: what is in a namespace that was not looked at would be taken for missing."""
    return together([await look(each) for each in here])


@steps.step(name="look at builds", retries=RETRIES, retry_delay_seconds=PAUSES_SECONDS)
async def building(builder: Builder) -> list[str]:
    """The operations that they are for. Looked at before it is settled: what is over by then stays so."""
    return sorted(await builder.operations())


@steps.step(name="settle", retries=RETRIES, retry_delay_seconds=PAUSES_SECONDS)
async def settle(
    relay: OperationsClient, settings: PreviewSettings, request: SweepRequest
) -> SweepAnswer:
    return await relay.settle(settings.activation_token(), request)


@steps.step(name="remove", retries=RETRIES, retry_delay_seconds=PAUSES_SECONDS)
async def remove(here: Sequence[Namespace], preview_id: str) -> None:
    """Wherever it is: nobody but the objects themselves knows the workspace of a stranger."""
    for each in here:
        await each.remove({PREVIEW: preview_id})


@steps.step(name="remove a revision", retries=RETRIES, retry_delay_seconds=PAUSES_SECONDS)
async def remove_revision(here: Sequence[Namespace], found: PreviewRevision) -> None:
    for each in here:
        await each.remove({PREVIEW: found.preview_id, REVISION: found.revision})


@steps.step(name="remove a build", retries=RETRIES, retry_delay_seconds=PAUSES_SECONDS)
async def remove_build(builder: Builder, operation_id: str) -> None:
    await builder.remove(operation_id)


def difference(
    nonce: str, told: ServedAnswer, found: Inventory, building: Sequence[str] = ()
) -> SweepRequest:
    return SweepRequest(
        nonce=nonce,
        present=sorted(found.present),
        missing=[each for each in told.previews if _is_missing(each, found)],
        revisions=[
            PreviewRevision(preview_id=preview_id, revision=revision)
            for preview_id, revision in sorted(found.revisions)
        ],
        building=list(building),
    )


def _is_missing(wanted: ServedPreview, found: Inventory) -> bool:
    return found.serving.get(wanted.preview_id) != wanted.revision
