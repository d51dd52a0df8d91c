"""Who may do what with which repository and ref. Pure: every answer is a decision with its reason."""

from collections.abc import Sequence
from typing import Final

from sidecar.domain.attachment import Attachment, glob_matches
from sidecar.domain.policy import Decision, allow, deny
from sidecar.pod.gitgate.head import Head, Update

HEADS: Final = "refs/heads/"


def find(attachments: Sequence[Attachment], repo: str) -> Attachment | None:
    """GitHub's names do not tell cases apart, and a trailing `.git` means nothing."""
    wanted = repo.removesuffix(".git").lower()
    return next((each for each in attachments if each.repo.lower() == wanted), None)


def may_push_at_all(attachment: Attachment) -> Decision:
    if not attachment.allow_push:
        return deny(f"this session may read {attachment.repo}, not push to it")
    return allow("the attachment allows pushing")


def decide(attachment: Attachment, head: Head) -> list[tuple[Update, Decision]]:
    """One decision a ref. Nothing is passed on unless all are allowed: a push is one thing."""
    return [(update, _one(attachment, update)) for update in head.updates]


def _one(attachment: Attachment, update: Update) -> Decision:
    allowed = ", ".join(attachment.allow_branches) or "no branch"
    if not update.ref.startswith(HEADS):
        return deny("only branches may be pushed")
    if update.deletes:
        return deny("branches may not be deleted")
    branch = update.ref.removeprefix(HEADS)
    if not any(glob_matches(pattern, branch) for pattern in attachment.allow_branches):
        wider = [
            pattern.replace("**", "*").replace("*", "**") for pattern in attachment.allow_branches
        ]
        hint = "; * stops at a slash" if any(glob_matches(each, branch) for each in wider) else ""
        return deny(f"push to {allowed}{hint}")
    return allow("the branch is allowed")
