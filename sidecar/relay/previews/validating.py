"""Is a revision fit to be previewed? Its spec is read from the forge and judged before anything is built."""

from sidecar.domain.errors import Forbidden, RevisionNotOnBranch, SpecInvalid
from sidecar.domain.ids import Repository, Revision
from sidecar.domain.session import Session
from sidecar.domain.workspace import unknown
from sidecar.relay.fence import check
from sidecar.relay.previews.described import describe
from sidecar.relay.rights import rights_of
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.wire.preview_spec import PATH
from sidecar.wire.previews import ValidateAnswer, ValidateRequest


async def validate(
    services: Services, claims: SessionClaims, request: ValidateRequest
) -> ValidateAnswer:
    """Findings are an answer, not an error. Raises Forbidden for a repository that is not attached, and where
    the session's workspace has no place for previews.
    """
    repo = Repository(request.repo)
    require_place(services, await require_attached(services, claims, repo))
    try:
        await describe(services, repo, Revision(request.revision))
    except SpecInvalid as error:
        errors = [
            {"path": each.path, "message": each.message, "line": each.line}
            for each in error.findings
        ]
        return ValidateAnswer(ok=False, errors=errors or [{"path": PATH, "message": str(error)}])
    return ValidateAnswer(ok=True)


def require_place(services: Services, session: Session) -> None:
    """Its agent may have been applied before settings left its workspace out. Raises Forbidden."""
    if not services.settings.has_workspace(session.workspace):
        raise Forbidden(unknown(session.workspace))


async def require_attached(services: Services, claims: SessionClaims, repo: Repository) -> Session:
    async with services.store.transaction() as tx:
        session = await tx.sessions.get(claims.session_id)
        check(session, claims)
        rights = await rights_of(tx, session)
    if all(each.repo != repo for each in rights.attachments()):
        raise Forbidden(f"{repo} is not attached to this session")
    return session


async def require_on_branch(
    services: Services, repo: Repository, branch: str, revision: Revision
) -> None:
    """The branch's head, or an ancestor of it. Raises RevisionNotOnBranch."""
    head = await services.forge.head(repo, branch)
    if head is None:
        raise RevisionNotOnBranch(f"{repo} has no branch {branch}: push it first")
    if head != revision and not await services.forge.is_ancestor(repo, revision, head):
        raise RevisionNotOnBranch(
            f"{revision[:8]} is not on {repo}@{branch}, which is at {head[:8]}: push it first"
        )
