"""Merging: exactly the revision that was proven, into a base that has not moved, once.

Reserved in the ledger before the forge is touched, recorded after. A crash between leaves a reservation, which a
repeat of the call, or the previews' loop, settles by looking at the forge: who has the commit has the merge.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.domain.audit import AuditEntry
from sidecar.domain.errors import (
    ChecksFailed,
    Conflict,
    GrantMissing,
    MergeConflict,
    RevisionNotOnBranch,
    Unavailable,
    X1Error,
)
from sidecar.domain.event import EventType
from sidecar.domain.grant import GrantScope, GrantType, decide
from sidecar.domain.ids import EvidenceId, Repository, Revision, SessionId
from sidecar.domain.merge import Merge, MergeState
from sidecar.domain.preview import Evidence
from sidecar.domain.session import Session
from sidecar.relay.aftermath import Change, change
from sidecar.relay.auth import require_session, services_of
from sidecar.relay.effects import once
from sidecar.relay.fence import check, fenced
from sidecar.relay.internal.exchange import answer, idempotency_key, read
from sidecar.relay.journal import note
from sidecar.relay.rights import rights_of
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.wire.previews import MergeAnswer, MergeRequest
from sidecar.wire.spec import parse_spec

STALE_AFTER: Final = timedelta(seconds=90)
"""Longer than any call to the forge: a reservation this old has nobody working on it."""

log = structlog.stdlib.get_logger(__name__)


async def merge(
    services: Services, claims: SessionClaims, request: MergeRequest, key: str | None
) -> MergeAnswer:
    """Raises GrantMissing, EvidenceUnknown, ChecksFailed, RevisionNotOnBranch, MergeConflict, Unavailable."""
    try:
        done = await _standing(services, claims, request)
        if done is not None:
            return MergeAnswer(merge_sha=done)
        base_before = await _judge(services, claims, request)
        await _reserve(services, claims, request, base_before)
        sha = await _act(services, request, claims.session_id)
    except (Conflict, Unavailable):
        raise
    except X1Error as error:
        await _refuse(services, claims, request, error)
        raise
    return await _done(services, claims, request, sha, key)


async def _standing(
    services: Services, claims: SessionClaims, request: MergeRequest
) -> Revision | None:
    """What an earlier call of this session merged: it was granted then."""
    async with services.store.transaction() as tx:
        session = await tx.sessions.get(claims.session_id)
        check(session, claims)
        merges = await tx.merges.list_all(MergeState.DONE.value)
    for each in merges:
        if _is_of(each, request) and each.session_id == claims.session_id:
            return each.merge_sha
    return None


def _is_of(merge: Merge, request: MergeRequest) -> bool:
    asked = (request.repo, request.base, request.expected_sha)
    return (merge.repo, merge.base, merge.expected_sha) == asked


async def _judge(services: Services, claims: SessionClaims, request: MergeRequest) -> Revision:
    """The base's head, or the refusal, before anything is reserved; the forge is asked outside of transactions."""
    async with services.store.transaction() as tx:
        session = await tx.sessions.get(claims.session_id)
        reserved = await tx.merges.list_all(MergeState.RESERVED.value)
        if not any(_is_of(each, request) and each.session_id == session.id for each in reserved):
            rights = await rights_of(tx, session)
            if not rights.may(GrantType.MERGE, request.repo):
                raise GrantMissing(f"no merge grant over {request.repo}: only a human grants")
        evidence = await tx.evidence.get(EvidenceId(request.evidence_id))
        children = await tx.sessions.children(session.id)
        preview = await tx.previews.get(evidence.preview_id)
    _require_proof(evidence, request)
    if preview.root_session_id != session.root_session_id or evidence.branch != request.head:
        raise ChecksFailed(
            f"evidence {evidence.id} is of {evidence.repo}@{evidence.branch}, not of your "
            f"{request.head}: verify the preview of {request.head} and merge with that evidence"
        )
    await _require_contract(services, children, evidence, request)
    return await _require_place(services, request)


def _require_proof(evidence: Evidence, request: MergeRequest) -> None:
    if evidence.repo != request.repo or evidence.revision != request.expected_sha:
        raise ChecksFailed(
            f"evidence {evidence.id} is for {evidence.repo} at {evidence.revision[:8]}, "
            f"not for {request.repo} at {request.expected_sha[:8]}: verify that revision"
        )
    if not evidence.passed or not evidence.results:
        raise ChecksFailed(
            f"evidence {evidence.id} holds failed checks: mend, deploy, verify again"
        )


async def _require_contract(
    services: Services, children: Any, evidence: Evidence, request: MergeRequest
) -> None:
    """Each acceptance check of the spec that the branch's child was hired with must be among what passed."""
    for child in sorted(children, key=_created, reverse=True):
        if child.branch != request.head or child.spec is None:
            continue
        content = await services.forge.read_file(
            child.spec.repo, child.spec.path, child.spec.commit
        )
        if content is None:
            raise ChecksFailed(f"the spec {child.spec.path} is gone from {child.spec.repo}")
        spec = parse_spec(content.decode(errors="replace"), child.spec.path)
        if spec.repo != request.repo:
            continue
        passed = {each.get("identity") for each in evidence.results if each.get("passed") is True}
        open_ = [each for each in spec.acceptance if each.identity() not in passed]
        if open_:
            named = ", ".join(f"{each.method} {each.path}" for each in open_)
            raise ChecksFailed(
                f"evidence {evidence.id} does not cover the spec's acceptance: {named}. "
                f"Verify with spec {child.spec.path} at {child.spec.commit[:8]}"
            )
        return


def _created(session: Session) -> Any:
    return session.created_at


async def _require_place(services: Services, request: MergeRequest) -> Revision:
    """The base's head: one that the commit contains, or that contains the commit already."""
    repo, expected = Repository(request.repo), Revision(request.expected_sha)
    base = await services.forge.head(repo, request.base)
    if base is None:
        raise RevisionNotOnBranch(f"{repo} has no branch {request.base}")
    if base == expected or await services.forge.is_ancestor(repo, expected, base):
        return base
    head = await services.forge.head(repo, request.head)
    if head != expected:
        found = head[:8] if head else "not there"
        raise MergeConflict(
            f"{request.head} is {found}, you verified {expected[:8]}: deploy and verify what is there"
        )
    if not await services.forge.is_ancestor(repo, base, expected):
        raise MergeConflict(
            f"{request.base} has moved to {base[:8]}, which {request.head} does not contain: bring "
            f"{request.base} into {request.head}, push, deploy and verify again"
        )
    return base


async def _reserve(
    services: Services, claims: SessionClaims, request: MergeRequest, base_before: Revision
) -> None:
    """The grant is asked again under the session's lock; a `once` grant is used up by the reservation."""
    async with services.store.transaction() as tx:
        session = await fenced(tx, claims)
        wanted = Merge(
            repo=Repository(request.repo),
            head=request.head,
            base=request.base,
            expected_sha=Revision(request.expected_sha),
            session_id=session.id,
            evidence_id=EvidenceId(request.evidence_id),
            state=MergeState.RESERVED,
            created_at=services.now(),
            base_before=base_before,
        )
        reserved = await tx.merges.list_all(MergeState.RESERVED.value)
        if any(_is_of(each, request) and each.session_id == session.id for each in reserved):
            return
        grants = await tx.grants.of_agent(session.agent)
        decision, grant = decide(
            grants, kind=GrantType.MERGE, target=request.repo, session_id=session.id
        )
        if grant is None:
            raise GrantMissing(f"{decision.reason}: only a human grants")
        if grant.scope is GrantScope.ONCE:
            await tx.grants.consume(grant.id, services.now())
        await tx.merges.reserve(wanted)
        await tx.merges.save(wanted)


async def _act(services: Services, request: MergeRequest, session_id: SessionId) -> Revision:
    """At the forge. What base contains already is not merged again."""
    message = (
        f"Merge {request.head} at {request.expected_sha[:8]}\n\n"
        f"Evidence: {request.evidence_id}\nSession: {session_id}"
    )
    return await services.forge.merge(
        Repository(request.repo), request.base, Revision(request.expected_sha), message
    )


async def _done(
    services: Services,
    claims: SessionClaims,
    request: MergeRequest,
    sha: Revision,
    key: str | None,
) -> MergeAnswer:
    async with change(services) as made:
        session = await made.tx.sessions.lock(claims.session_id)

        async def record() -> dict[str, Any]:
            standing = await _locked(made, request)
            if standing is not None:
                await _record_done(made, session, standing, sha)
            return {"merge_sha": sha}

        told = await once(made.tx, session.id, key and f"merge {key}", record)
    return MergeAnswer.model_validate(told)


async def _locked(made: Change, request: MergeRequest) -> Merge | None:
    for each in await made.tx.merges.list_all(MergeState.RESERVED.value):
        if _is_of(each, request):
            return await made.tx.merges.reserve(each)
    return None


async def _record_done(made: Change, session: Session, merge: Merge, sha: Revision) -> None:
    if merge.state is not MergeState.RESERVED:
        return
    await made.tx.merges.save(replace(merge, state=MergeState.DONE, merge_sha=sha, reason=None))
    told = {"repo": merge.repo, "head": merge.head, "base": merge.base, "merge_sha": sha}
    told |= {"expected_sha": merge.expected_sha, "evidence_id": merge.evidence_id}
    await note(made.tx, session, EventType.MERGE_DONE, told)
    await _retire_preview(made, session, merge)
    await made.tx.audit.record(_entry(made.services, merge, allowed=True, reason=f"as {sha}"))
    made.aftermath.changed.append(session.id)


async def _retire_preview(made: Change, session: Session, merge: Merge) -> None:
    """A merged branch's preview ends sooner; a new deploy gives it its whole time again."""
    preview = await made.tx.previews.of_branch(session.workspace, merge.repo, merge.head)
    if preview is None or preview.expires_at is None or preview.revision != merge.expected_sha:
        return
    hours = timedelta(hours=made.services.settings.preview_merged_ttl_hours)
    ends = min(preview.expires_at, made.services.now() + hours)
    await made.tx.previews.save(replace(preview, expires_at=ends))


async def _refuse(
    services: Services, claims: SessionClaims, request: MergeRequest, error: X1Error
) -> None:
    """Told in the session's events and the audit; a reservation that came to nothing is closed."""
    async with change(services) as made:
        session = await made.tx.sessions.lock(claims.session_id)
        standing = await _locked(made, request)
        if standing is not None and standing.session_id == session.id:
            refused = replace(standing, state=MergeState.REFUSED, reason=str(error)[:2000])
            await made.tx.merges.save(refused)
        told = {**request.model_dump(), "code": error.code, "reason": str(error)[:2000]}
        await note(made.tx, session, EventType.MERGE_REFUSED, told)
        await made.tx.audit.record(
            AuditEntry(
                at=services.now(),
                actor=f"session:{session.id}",
                action="merge",
                target=f"{request.repo}@{request.base}"[:256],
                allowed=False,
                reason=f"{error.code}: {error}"[:2000],
                details=request.model_dump(),
            )
        )
        made.aftermath.changed.append(session.id)


async def reconcile(services: Services) -> None:
    """Settles reservations that a crash left behind, by what the forge has."""
    async with services.store.transaction() as tx:
        reserved = await tx.merges.list_all(MergeState.RESERVED.value)
    for merge in reserved:
        if services.now() - merge.created_at < STALE_AFTER:
            continue
        base = await services.forge.head(merge.repo, merge.base)
        has_it = base is not None and (
            base == merge.expected_sha
            or await services.forge.is_ancestor(merge.repo, merge.expected_sha, base)
        )
        await _settle(services, merge, base if has_it else None)


async def _settle(services: Services, seen: Merge, sha: Revision | None) -> None:
    async with change(services) as made:
        session = await made.tx.sessions.lock(seen.session_id)
        merge = await made.tx.merges.reserve(seen)
        if merge != seen:
            return
        if sha is not None:
            await _record_done(made, session, merge, sha)
            return
        reason = "it never reached the forge: ask for it again"
        await made.tx.merges.save(replace(merge, state=MergeState.REFUSED, reason=reason))
        told = {"repo": merge.repo, "head": merge.head, "base": merge.base, "reason": reason}
        await note(made.tx, session, EventType.MERGE_REFUSED, told)
        await made.tx.audit.record(_entry(services, merge, allowed=False, reason=reason))
    log.warning("merge settled", session_id=seen.session_id, repo=seen.repo, merged=bool(sha))


def _entry(services: Services, merge: Merge, *, allowed: bool, reason: str) -> AuditEntry:
    return AuditEntry(
        at=services.now(),
        actor=f"session:{merge.session_id}",
        action="merge",
        target=f"{merge.repo}@{merge.base}",
        allowed=allowed,
        reason=reason,
        details={"head": merge.head, "expected_sha": merge.expected_sha},
    )


async def _merge(request: Request) -> Response:
    claims = require_session(request)
    body = await read(request, MergeRequest)
    return answer(await merge(services_of(request), claims, body, idempotency_key(request)))


routes = [Route("/internal/merge", _merge, methods=["POST"])]
