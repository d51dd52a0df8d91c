"""No force: a branch only moves to what descends from where it stands.

Proven from the pushed commits themselves. Where those end, the forge is asked, which has what came before.
What cannot be proven is refused.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from sidecar.domain.policy import Decision, allow, deny
from sidecar.pod.gitgate.commits import Commits
from sidecar.pod.gitgate.head import Head, Update
from sidecar.pod.gitgate.policy import HEADS

MAX_QUESTIONS: Final = 8
"""For one ref. Each is a request to the forge; a push seldom needs a second."""
IsAncestor = Callable[[str, str], Awaitable[bool]]
"""(old, new), as the forge knows them; False for what it does not have. Raises X1Error."""


async def decide(head: Head, commits: Commits, is_ancestor: IsAncestor) -> Decision:
    """The first ref's reason to refuse, or allow. Raises X1Error when the forge cannot be asked."""
    for update in head.updates:
        if not needs_proof(update):
            continue
        decision = await _one(update, commits, is_ancestor)
        if not decision.allowed:
            return decision
        await asyncio.sleep(0)  # a walk is long for a loop that others share
    return allow("every ref moves forward")


def needs_proof(update: Update) -> bool:
    """A new ref cannot lose anything: if it exists after all, the forge's own lock refuses."""
    return not update.creates and update.new != update.old


async def _one(update: Update, commits: Commits, is_ancestor: IsAncestor) -> Decision:
    walk = commits.walk(update.new, update.old)
    if walk.is_reached:
        return allow("the push contains the way")
    for commit in walk.outside[:MAX_QUESTIONS]:
        if await is_ancestor(update.old, commit):
            return allow("the forge knows the way")
    branch = update.ref.removeprefix(HEADS)
    if commits.has_unknown:
        return deny(
            f"force push is refused: nothing shows that {branch} at the forge is an ancestor of"
            " what you push; git pull --rebase, then git push --no-thin"
        )
    if len(walk.outside) > MAX_QUESTIONS:
        return deny(
            f"force push is refused: {branch} joins the forge's history in too many places"
            " to prove it; push in smaller steps"
        )
    return deny(
        f"force push is refused: {branch} at the forge is not an ancestor of what you push;"
        " git pull --rebase, then push"
    )
