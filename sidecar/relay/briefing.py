"""A child's first message: its brief, then the spec's text at that commit, as it cannot read that repository."""

from dataclasses import dataclass

from sidecar.domain.errors import Finding, InvalidArguments, SpecInvalid, SpecNotCommitted
from sidecar.domain.ids import Repository, Revision
from sidecar.domain.session import SpecReference
from sidecar.relay.forge.port import Forge
from sidecar.relay.legible import legible
from sidecar.relay.rights import Rights
from sidecar.wire.sessions import SpawnRequest
from sidecar.wire.spec import parse_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """`text` is None when the caller will brief the child later."""

    text: str | None
    branch: str | None
    spec: SpecReference | None


async def briefing_of(forge: Forge, rights: Rights, request: SpawnRequest) -> Briefing:
    """Reads and judges the spec. Raises SpecNotCommitted, SpecInvalid, InvalidArguments, ForgeUnavailable."""
    if request.spec is None:
        return Briefing(
            text=_joined(request.brief, request.branch), branch=request.branch, spec=None
        )
    reference = SpecReference(
        repo=Repository(request.spec.repo),
        path=request.spec.path,
        commit=Revision(request.spec.commit),
    )
    text = await _committed(forge, rights, reference)
    spec = parse_spec(text, reference.path)
    if spec.child != request.child_agent_id:
        raise _disagrees("child", spec.child, request.child_agent_id)
    branch = request.branch or spec.branch
    if branch != spec.branch:
        raise _disagrees("branch", spec.branch, branch)
    return Briefing(text=_joined(request.brief, branch, text), branch=branch, spec=reference)


async def _committed(forge: Forge, rights: Rights, spec: SpecReference) -> str:
    """The file, from a commit that is on the attached branch: a commit nobody else can see is no contract."""
    branch = next((each.branch for each in rights.attachments() if each.repo == spec.repo), None)
    if branch is None:
        raise InvalidArguments(f"spec.repo: {spec.repo} is not attached to {rights.agent.slug}")
    head = await forge.head(spec.repo, branch)
    if head is None or not (
        head == spec.commit or await forge.is_ancestor(spec.repo, spec.commit, head)
    ):
        raise SpecNotCommitted(
            f"{spec.commit[:8]} is not on {spec.repo}@{branch}: commit and push the spec first"
        )
    content = await forge.read_file(spec.repo, spec.path, spec.commit)
    if content is None:
        raise SpecNotCommitted(f"{spec.path} is not in {spec.repo} at {spec.commit[:8]}")
    try:
        return legible(content.decode())
    except UnicodeDecodeError as error:
        raise SpecInvalid(f"{spec.path} is not UTF-8 text") from error


def _joined(brief: str | None, branch: str | None, spec: str | None = None) -> str | None:
    if brief is None and spec is None:
        return None
    line = f"Work on branch `{branch}`." if branch and spec is None else None
    return "\n\n".join(part for part in (brief, line, spec) if part)


def _disagrees(field: str, in_spec: str, asked: str) -> InvalidArguments:
    finding = Finding(path=field, message=f"the spec says {in_spec!r}, the call says {asked!r}")
    return InvalidArguments("the call and its spec disagree:", (finding,))
