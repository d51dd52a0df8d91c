"""Deploying: one preview per branch, one open deploy per preview; the newest revision asked for wins."""

from dataclasses import replace
from typing import Any

from sidecar.domain.ids import OperationId, PreviewId, Repository, Revision, new_id
from sidecar.domain.preview import (
    OperationKind,
    Preview,
    PreviewStatus,
)
from sidecar.domain.session import Session
from sidecar.relay.aftermath import Change, change
from sidecar.relay.effects import once
from sidecar.relay.fence import check, fenced
from sidecar.relay.previews import waiting
from sidecar.relay.previews.described import describe
from sidecar.relay.previews.opening import Why, open_deploy
from sidecar.relay.previews.owning import require_claimable
from sidecar.relay.previews.reading import model_of, waits_for
from sidecar.relay.previews.starting import start
from sidecar.relay.previews.validating import (
    require_attached,
    require_on_branch,
    require_place,
)
from sidecar.relay.room import require_room
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.wire.previews import DeployRequest, PreviewModel


async def deploy(
    services: Services, claims: SessionClaims, request: DeployRequest, key: str | None
) -> PreviewModel:
    """Answers how the preview stands after at most `wait_seconds`.

    Raises Forbidden, RevisionNotOnBranch, SpecInvalid, PreviewClaimed, LeaseLost, SessionEnded, Unavailable.
    """
    effect = key and f"deploy {key}"
    answer = await _earlier(services, claims, effect)
    if answer is None:
        require_room(services.settings)
        await _judge(services, claims, request)
        async with change(services) as made:
            session = await fenced(made.tx, claims)

            async def act() -> dict[str, Any]:
                return await _ask(made, session, request)

            answer = await once(made.tx, session.id, effect, act)
    if answer["operation_id"]:
        operation_id = OperationId(answer["operation_id"])
        await start(services, operation_id)
        await waiting.final(services, operation_id, request.wait_seconds)
    preview_id = PreviewId(answer["preview_id"])
    async with services.store.transaction() as tx:
        reasons = await waits_for(tx)
        return model_of(await tx.previews.get(preview_id), reasons.get(preview_id))


async def _earlier(
    services: Services, claims: SessionClaims, effect: str | None
) -> dict[str, Any] | None:
    """A repeat needs no forge: its revision was judged the first time."""
    if effect is None:
        return None
    async with services.store.transaction() as tx:
        check(await tx.sessions.get(claims.session_id), claims)
        return await tx.effects.get(claims.session_id, effect)


async def _judge(services: Services, claims: SessionClaims, request: DeployRequest) -> None:
    """Before the transaction: no row is locked while the forge is asked."""
    repo, revision = Repository(request.repo), Revision(request.commit_sha)
    require_place(services, await require_attached(services, claims, repo))
    await require_on_branch(services, repo, request.branch, revision)
    await describe(services, repo, revision)


async def _ask(made: Change, session: Session, request: DeployRequest) -> dict[str, Any]:
    tx, revision = made.tx, Revision(request.commit_sha)
    preview = await tx.previews.of_branch(
        session.workspace, Repository(request.repo), request.branch
    )
    if preview is not None:
        await require_claimable(tx, preview, session)
        standing = await _standing(made, preview, session, revision)
        if standing is not None:
            return standing
    asked = replace(
        preview or _new(made, session, request),
        revision=revision,
        owner_session_id=session.id,
        root_session_id=session.root_session_id,
    )
    operation = await open_deploy(
        made,
        session,
        asked,
        arguments={waiting.WAITING: request.wait_seconds > 0},
        why=Why(
            actor=f"session:{session.id}",
            action="preview.deploy",
            reason="its repository is attached and its tree holds the preview",
        ),
    )
    return {"preview_id": operation.preview_id, "operation_id": operation.id}


async def _standing(
    made: Change, preview: Preview, session: Session, revision: Revision
) -> dict[str, Any] | None:
    """What answers a deploy of the revision that is served, or being deployed, already."""
    is_own = preview.root_session_id == session.root_session_id
    if preview.revision != revision or not is_own:
        return None
    if preview.status is PreviewStatus.READY and preview.serving == revision:
        return {"preview_id": preview.id, "operation_id": None}
    for operation in await made.tx.operations.list_of(preview.id):
        is_open = operation.kind is OperationKind.DEPLOY and not operation.state.is_final
        if is_open and operation.revision == revision and operation.session_id == session.id:
            return {"preview_id": preview.id, "operation_id": operation.id}
    return None


def _new(made: Change, session: Session, request: DeployRequest) -> Preview:
    return Preview(
        id=PreviewId(new_id()),
        workspace=session.workspace,
        repo=Repository(request.repo),
        branch=request.branch,
        revision=Revision(request.commit_sha),
        owner_session_id=session.id,
        root_session_id=session.root_session_id,
        status=PreviewStatus.REQUESTED,
        url="",
        alias_url="",
        created_at=made.services.now(),
        updated_at=made.services.now(),
    )
