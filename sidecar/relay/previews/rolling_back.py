"""Rolling back: a deploy of the newest revision that passed a verification, other than the one that is served.

What it needs may still be there (an image by its digest, a revision behind its alias) or is built again. It is
proven before the URL goes to it, as every deploy is.
"""

from dataclasses import replace
from typing import Any

from sidecar.domain.errors import NothingVerified
from sidecar.domain.ids import OperationId, PreviewId, Revision
from sidecar.domain.preview import Operation, Preview
from sidecar.domain.session import Session
from sidecar.relay.aftermath import Change, change
from sidecar.relay.effects import once
from sidecar.relay.fence import fenced
from sidecar.relay.previews.opening import Why, open_deploy
from sidecar.relay.previews.owning import FREE, require_own
from sidecar.relay.previews.reading import model_of
from sidecar.relay.previews.starting import start
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.store.port import Transaction
from sidecar.wire.previews import PreviewModel


async def roll_back_own(
    services: Services, claims: SessionClaims, preview_id: PreviewId, key: str | None
) -> PreviewModel:
    """For a session of the tree that holds it. Raises PreviewClaimed, PreviewUnknown, NothingVerified."""
    async with change(services) as made:
        session = await fenced(made.tx, claims)
        preview = await made.tx.previews.lock(preview_id)
        require_own(preview, session)

        async def act() -> dict[str, Any]:
            operation = await _back(made, session, preview, f"session:{session.id}")
            return {"operation_id": operation.id}

        answer = await once(made.tx, session.id, key and f"rollback {key}", act)
    await start(services, OperationId(answer["operation_id"]))
    async with services.store.transaction() as tx:
        return model_of(await tx.previews.get(preview_id))


async def roll_back(services: Services, preview_id: PreviewId, actor: str) -> Preview:
    """For an operator; its session is told when it is done. Raises PreviewUnknown, NothingVerified."""
    async with services.store.transaction() as tx:
        owner = (await tx.previews.get(preview_id)).owner_session_id
    async with change(services) as made:
        session = await made.tx.sessions.lock(owner)
        preview = await made.tx.previews.lock(preview_id)
        operation = await _back(made, session, preview, actor)
    await start(services, operation.id)
    async with services.store.transaction() as tx:
        return await tx.previews.get(preview_id)


async def _back(made: Change, session: Session, preview: Preview, actor: str) -> Operation:
    if preview.status in FREE:
        raise NothingVerified(f"the preview is {preview.status}: deploy the revision that you want")
    return await open_deploy(
        made,
        session,
        replace(preview, revision=await _verified(made.tx, preview)),
        arguments={"rolled_back_from": preview.serving or preview.revision},
        why=Why(
            actor=actor, action="preview.rollback", reason="this revision passed a verification"
        ),
    )


async def _verified(tx: Transaction, preview: Preview) -> Revision:
    for evidence in await tx.evidence.passed_of(preview.id):
        if evidence.revision != preview.serving:
            return evidence.revision
    raise NothingVerified
