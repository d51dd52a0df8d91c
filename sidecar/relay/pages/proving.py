"""Which previews are proven: the newest evidence about the revision that each serves."""

from collections.abc import Iterable

from sidecar.domain.ids import PreviewId
from sidecar.domain.preview import Evidence, Preview
from sidecar.store.port import Transaction

Proofs = dict[PreviewId, Evidence | None]


async def proofs_of(tx: Transaction, previews: Iterable[Preview]) -> Proofs:
    return {each.id: await _newest(tx, each) for each in previews}


async def _newest(tx: Transaction, preview: Preview) -> Evidence | None:
    if preview.serving is None:
        return None
    found = await tx.evidence.list_of(preview.repo, preview.serving)
    return max(found, key=lambda each: each.created_at, default=None)
