"""Which revisions of a preview have ever been ready: what may stay in a cluster. All else was never finished."""

from collections.abc import Sequence

from sidecar.domain.ids import PreviewId, Revision
from sidecar.domain.preview import OperationKind, OperationState
from sidecar.store.port import Transaction


async def proven(tx: Transaction, preview_id: PreviewId) -> Sequence[Revision]:
    """Each once, the one that was deployed last first."""
    ready = [
        each.revision
        for each in await tx.operations.list_of(preview_id)
        if each.kind is OperationKind.DEPLOY and each.state is OperationState.SUCCEEDED
    ]
    return list(dict.fromkeys(ready))
