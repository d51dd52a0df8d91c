"""/internal/git: narrowed tokens, comparisons, and the fence that every push passes twice."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.domain.attachment import Attachment, glob_matches
from sidecar.domain.audit import AuditEntry
from sidecar.domain.errors import Forbidden, PushRefused
from sidecar.domain.ids import Repository, Revision
from sidecar.relay.auth import require_session, services_of
from sidecar.relay.egress import forge_egress
from sidecar.relay.fence import fenced
from sidecar.relay.internal.exchange import answer, read
from sidecar.relay.rights import rights_of
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.store.port import Transaction
from sidecar.wire.git import (
    CompareAnswer,
    CompareRequest,
    PushAnswer,
    PushRequest,
    TokenAnswer,
    TokenRequest,
)

HEADS = "refs/heads/"


async def token(request: Request) -> Response:
    """One attached repository, read or write; writing needs the push grant that stands now."""
    claims = require_session(request)
    asked = await read(request, TokenRequest)
    services = services_of(request)
    attachment = await _attachment(services, claims, asked.repo)
    if asked.access == "write" and not attachment.allow_push:
        raise Forbidden(f"this session may not push to {asked.repo}")
    minted = await services.forge.token(Repository(asked.repo), asked.access)
    return answer(
        TokenAnswer(
            token=minted.secret,
            expires_at=minted.expires_at,
            git_url=services.forge.git_url,
            egress=forge_egress(services, claims.session_id, services.forge.git_url),
        )
    )


async def compare(request: Request) -> Response:
    claims = require_session(request)
    asked = await read(request, CompareRequest)
    services = services_of(request)
    await _attachment(services, claims, asked.repo)
    is_ancestor = await services.forge.is_ancestor(
        Repository(asked.repo), Revision(asked.old), Revision(asked.new)
    )
    return answer(CompareAnswer(is_ancestor=is_ancestor))


async def policy(request: Request) -> Response:
    """200 while this generation holds the lease and the attachment allows every update; audited once."""
    claims = require_session(request)
    asked = await read(request, PushRequest)
    services = services_of(request)
    async with services.store.transaction() as tx:
        session = await fenced(tx, claims)
        rights = await rights_of(tx, session)
        reason = _verdict(_of(rights.attachments(), asked.repo), asked.updates)
        if asked.phase == "begin" or reason is not None:
            await _record(tx, services, claims, asked, reason)
    if reason is not None:
        raise PushRefused(reason)
    return answer(PushAnswer(allowed=True, reason="allowed by the attachment"))


async def _attachment(services: Services, claims: SessionClaims, repo: str) -> Attachment:
    async with services.store.transaction() as tx:
        session = await fenced(tx, claims)
        found = _of((await rights_of(tx, session)).attachments(), repo)
    if found is None:
        raise Forbidden(f"{repo} is not attached to this session")
    return found


def _of(attachments: tuple[Attachment, ...], repo: str) -> Attachment | None:
    return next((each for each in attachments if each.repo == repo), None)


def _verdict(attachment: Attachment | None, updates: list[dict[str, str]]) -> str | None:
    """The reason to refuse, or None. The gateway decides the same; this one an agent cannot reach."""
    if attachment is None:
        return "the repository is not attached to this session"
    if not attachment.allow_push:
        return f"this session may not push to {attachment.repo}"
    for update in updates:
        branch = update.get("ref", "").removeprefix(HEADS)
        allowed = any(glob_matches(pattern, branch) for pattern in attachment.allow_branches)
        if not update.get("ref", "").startswith(HEADS) or not allowed:
            return f"{update.get('ref')}: push to {', '.join(attachment.allow_branches)}"
    return None


async def _record(
    tx: Transaction,
    services: Services,
    claims: SessionClaims,
    asked: PushRequest,
    reason: str | None,
) -> None:
    await tx.audit.record(
        AuditEntry(
            at=services.now(),
            actor=f"session:{claims.session_id}",
            action="push",
            target=asked.repo,
            allowed=reason is None,
            reason=reason or "allowed by the attachment",
            details={"updates": asked.updates},
        )
    )


routes = [
    Route("/internal/git/token", token, methods=["POST"]),
    Route("/internal/git/compare", compare, methods=["POST"]),
    Route("/internal/git/policy", policy, methods=["POST"]),
]
