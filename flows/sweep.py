"""Previews in the ledger against previews in the cluster, both ways; says what it removed and begins again."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from sidecar.client.operations import OperationsClient
from sidecar.wire.preview_sweeps import SweepAnswer
from tasks.previews import sweeping
from tasks.previews.settings import PreviewSettings
from tasks.previews.targets.choice import Swept, swept


@flow(name="sweep")
async def sweep() -> State[None]:
    """Scheduled. What it does not get to, the next one does."""
    settings = PreviewSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    nonce = settings.nonce()
    async with OperationsClient(settings.relay_url) as relay, swept(settings) as here:
        told = await sweeping.ledger(relay, settings, nonce)
        found = await sweeping.inventory(here.previews)
        building = await sweeping.building(here.builder)
        difference = sweeping.difference(nonce, told, found, building)
        answer = await sweeping.settle(relay, settings, difference)
        await _remove(here, answer)
    return Completed(message=_said(answer))


async def _remove(here: Swept, answer: SweepAnswer) -> None:
    for preview_id in answer.strangers:
        await sweeping.remove(here.previews, preview_id)
    for revision in answer.unfinished:
        await sweeping.remove_revision(here.previews, revision)
    for operation_id in answer.over:
        await sweeping.remove_build(here.builder, operation_id)


def _said(answer: SweepAnswer) -> str:
    told = {
        "removed": answer.strangers,
        "removed the builds of": answer.over,
        "removed what never was ready": [
            f"{each.preview_id}@{each.revision[:8]}" for each in answer.unfinished
        ],
        "releasing": answer.released,
        "deploying again": answer.deployed_again,
    }
    return "; ".join(f"{word} {', '.join(ids)}" for word, ids in told.items() if ids) or "in order"
