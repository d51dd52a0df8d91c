"""Verifying: checks are asked of the served revision by a flow run, and what came back is kept as evidence."""

from typing import Any, Final

from sidecar.domain.check import Check
from sidecar.domain.errors import (
    ChecksFailed,
    Finding,
    InvalidArguments,
    RelayUnavailable,
    SpecInvalid,
    SpecNotCommitted,
)
from sidecar.domain.ids import EvidenceId, OperationId, PreviewId, Repository, Revision, new_id
from sidecar.domain.preview import Operation, OperationKind, OperationState
from sidecar.relay.aftermath import Change, change
from sidecar.relay.effects import once
from sidecar.relay.fence import check, fenced
from sidecar.relay.previews import waiting
from sidecar.relay.previews.owning import require_own
from sidecar.relay.previews.starting import start
from sidecar.relay.previews.validating import require_attached
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.wire.checks import dump_check, parse_checks
from sidecar.wire.previews import VerifyAnswer, VerifyRequest
from sidecar.wire.spec import parse_spec

WAIT_SECONDS: Final = 165.0
"""A little less than the tool waits: who gives up first must be the one who can say why."""


async def verify(
    services: Services,
    claims: SessionClaims,
    preview_id: PreviewId,
    request: VerifyRequest,
    key: str | None,
) -> VerifyAnswer:
    """Raises InvalidArguments, PreviewClaimed, PreviewUnknown, ChecksFailed when they could not be run, and
    RelayUnavailable when they are not through yet: the same call waits on.
    """
    effect = key and f"verify {key}"
    answer = await _earlier(services, claims, effect)
    if answer is None:
        checks = await _checks(services, claims, request)
        async with change(services) as made:
            await fenced(made.tx, claims)

            async def act() -> dict[str, Any]:
                return await _ask(made, claims, preview_id, checks)

            answer = await once(made.tx, claims.session_id, effect, act)
    operation_id = OperationId(answer["operation_id"])
    await start(services, operation_id)
    return await _answer(services, await waiting.final(services, operation_id, WAIT_SECONDS))


async def _earlier(
    services: Services, claims: SessionClaims, effect: str | None
) -> dict[str, Any] | None:
    if effect is None:
        return None
    async with services.store.transaction() as tx:
        check(await tx.sessions.get(claims.session_id), claims)
        return await tx.effects.get(claims.session_id, effect)


async def _checks(
    services: Services, claims: SessionClaims, request: VerifyRequest
) -> tuple[Check, ...]:
    if bool(request.checks) == bool(request.spec):
        finding = Finding(path="checks", message="expected either `checks` or `spec`, not both")
        raise InvalidArguments("these arguments are not acceptable:", (finding,))
    if request.checks:
        return parse_checks(request.checks)
    spec = request.spec or {}
    absent = [name for name in ("repo", "path", "commit") if not spec.get(name)]
    if absent:
        raise InvalidArguments(f"spec: expected repo, path and commit; missing {absent}")
    repo = Repository(spec["repo"])
    await require_attached(services, claims, repo)
    return await acceptance_of(services, repo, spec["path"], Revision(spec["commit"]))


async def acceptance_of(
    services: Services, repo: Repository, path: str, commit: Revision
) -> tuple[Check, ...]:
    """The acceptance checks of a committed spec. Raises SpecNotCommitted, SpecInvalid."""
    content = await services.forge.read_file(repo, path, commit)
    if content is None:
        raise SpecNotCommitted(f"{path} is not in {repo} at {commit[:8]}")
    try:
        return parse_spec(content.decode(), path).acceptance
    except UnicodeDecodeError as error:
        raise SpecInvalid(f"{path} is not UTF-8 text") from error


async def _ask(
    made: Change, claims: SessionClaims, preview_id: PreviewId, checks: tuple[Check, ...]
) -> dict[str, Any]:
    session = await made.tx.sessions.get(claims.session_id)
    preview = await made.tx.previews.lock(preview_id)
    require_own(preview, session)
    if preview.serving is None:
        raise ChecksFailed(
            f"the preview is {preview.status} and serves nothing yet: deploy it, and wait for ready"
        )
    operation = Operation(
        id=OperationId(new_id()),
        preview_id=preview.id,
        session_id=session.id,
        kind=OperationKind.VERIFY,
        state=OperationState.REQUESTED,
        revision=preview.serving,
        created_at=made.services.now(),
        arguments={"checks": [dump_check(each) for each in checks], waiting.WAITING: True},
    )
    await made.tx.operations.insert(operation)
    return {"operation_id": operation.id}


async def _answer(services: Services, operation: Operation) -> VerifyAnswer:
    if operation.state is OperationState.FAILED:
        raise ChecksFailed(f"the checks could not be run: {operation.result.get('diagnosis')}")
    if operation.state is not OperationState.SUCCEEDED:
        raise RelayUnavailable(
            "the checks are not through yet; the result will reach you as a message"
        )
    async with services.store.transaction() as tx:
        evidence = await tx.evidence.get(EvidenceId(operation.result["evidence_id"]))
    return VerifyAnswer(
        passed=evidence.passed, results=list(evidence.results), evidence_id=evidence.id
    )
