"""What the relay needs of a forge. `sidecar.relay.forge.github` speaks to api.github.com and to the embedded one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from pydantic import SecretStr

from sidecar.domain.ids import Repository, Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeToken:
    """Narrowed to one repository and one access; lives an hour at most."""

    secret: SecretStr
    expires_at: datetime


class Forge(Protocol):
    """Every verb raises ForgeUnavailable when the forge does not answer or answers 5xx or 429."""

    git_url: str
    """Smart-HTTP base; git user is `x-access-token`."""

    async def token(self, repo: Repository, access: Literal["read", "write"]) -> ForgeToken:
        """Raises Forbidden when the App is not installed on the repository."""
        ...

    async def head(self, repo: Repository, branch: str) -> Revision | None:
        """The branch's commit; None when there is no such branch."""
        ...

    async def is_ancestor(self, repo: Repository, old: Revision, new: Revision) -> bool:
        """False also when either commit is unknown."""
        ...

    async def read_file(self, repo: Repository, path: str, revision: Revision) -> bytes | None:
        """At most 1 MiB; None when the file or the commit is not there."""
        ...

    async def merge(self, repo: Repository, base: str, head: Revision, message: str) -> Revision:
        """Merges commit `head` into branch `base` and returns the merge commit.

        When `base` already contains `head`, returns base's head. Raises MergeConflict.
        """
        ...
