"""The checkout: real git in the agent's zone, through the gateway, with the agent's own configuration.

What stands is left as it stands: after a crash the agent finds its tree as the crash left it. A clone is
made beside its place and renamed, so that a tree is whole or not there.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random_exponential

from sidecar.domain.attachment import Attachment
from sidecar.domain.errors import ForgeUnavailable, Refused
from sidecar.pod.hands import Hands, ZoneFailed
from sidecar.pod.zone import Zone
from sidecar.wire.control import CheckedOut

GIT_TIMEOUT_SECONDS: Final = 600.0
CLONE_PATIENCE_SECONDS: Final = 120.0
MAX_BRANCH: Final = 250
_REVISION: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PASSING: Final = (
    "HTTP 5",
    "error: 5",
    "Could not resolve",
    "Failed to connect",
    "timed out",
    "early EOF",
)
"""What git says when a forge is away; anything else is an answer."""

log = structlog.stdlib.get_logger(__name__)


class GitFailed(Refused):
    """git refused or could not; its words follow."""

    code = "git_failed"


async def check_out(zone: Zone, attachments: Sequence[Attachment]) -> list[CheckedOut]:
    """One after the other, in the order in which they are attached. Raises GitFailed, ForgeUnavailable."""
    git = Git(zone.hands, zone.environment(attachments))
    return [await _one(zone, git, each) for each in attachments]


async def _one(zone: Zone, git: "Git", attachment: Attachment) -> CheckedOut:
    path = zone.path_of(attachment)
    if not await zone.hands.exists(path / ".git"):
        await _clone(zone, git, attachment, path)
    return CheckedOut(
        repo=attachment.repo,
        path=str(path),
        branch=_branch(await git.says(path, "branch", "--show-current")) or attachment.branch,
        revision=_revision(await git.says(path, "rev-parse", "--verify", "--quiet", "HEAD")),
    )


@retry(
    retry=retry_if_exception_type(ForgeUnavailable),
    wait=wait_random_exponential(multiplier=0.3, max=5),
    stop=stop_after_delay(CLONE_PATIENCE_SECONDS),
    reraise=True,
)
async def _clone(zone: Zone, git: "Git", attachment: Attachment, path: Path) -> None:
    """A branch that the forge does not have yet is begun from the default branch."""
    part = path.with_name(f".{path.name}.x1-part")
    await zone.hands.remove(part)
    await zone.hands.make_folders(path.parent)
    url = f"https://{zone.forge_host}/{attachment.repo}"
    try:
        await git.run(zone.workspace_dir, "clone", "--quiet", "--", url, str(part))
        if await git.says(part, "branch", "--show-current") != attachment.branch:
            await _switch(git, part, attachment.branch)
    except GitFailed as error:
        if any(sign in str(error) for sign in _PASSING):
            log.info("clone waits for the forge", repo=attachment.repo, reason=str(error))
            raise ForgeUnavailable(f"{attachment.repo}: {error}") from error
        raise
    await zone.hands.install(part, path)


async def _switch(git: "Git", tree: Path, branch: str) -> None:
    remote = f"refs/remotes/origin/{branch}"
    if await git.says(tree, "rev-parse", "--verify", "--quiet", remote):
        await git.run(tree, "checkout", "--quiet", "-B", branch, "--track", f"origin/{branch}")
    else:
        await git.run(tree, "checkout", "--quiet", "-b", branch)


def _branch(said: str | None) -> str | None:
    """The tree is the agent's: what git says of it goes on as a name, or not at all."""
    return said if said and len(said) <= MAX_BRANCH and said.isprintable() else None


def _revision(said: str | None) -> str | None:
    return said if said and _REVISION.fullmatch(said) else None


class Git:
    def __init__(self, hands: Hands, environment: dict[str, str]) -> None:
        self._hands = hands
        self._environment = environment

    async def says(self, tree: Path, *arguments: str) -> str | None:
        """What git prints, or None when it refuses."""
        try:
            return (await self.run(tree, *arguments)).strip() or None
        except GitFailed:
            return None

    async def run(self, tree: Path, *arguments: str) -> str:
        """Raises GitFailed with git's own words, also when it takes too long."""
        try:
            done = await self._hands.run(
                ["git", *arguments],
                cwd=tree,
                env=self._environment,
                timeout=GIT_TIMEOUT_SECONDS,
            )
        except TimeoutError as error:
            raise GitFailed(f"git {arguments[0]} took over {GIT_TIMEOUT_SECONDS:g} s") from error
        except ZoneFailed as error:
            raise GitFailed(f"git {arguments[0]}: {error}") from error
        if done.code:
            words = done.err.decode(errors="replace").strip()[-2000:]
            raise GitFailed(f"git {arguments[0]}: {words or f'exit {done.code}'}")
        return done.out.decode(errors="replace")
