"""What the relay needs of a forge. `github` speaks to api.github.com and to the embedded one alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from pydantic import SecretStr

from sidecar.domain.ids import Repository, Revision

MAX_FILE_BYTES: Final = 1 << 20
"""A longer file is cut here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeToken:
    """Narrowed to one repository and one access; lives an hour at most."""

    secret: SecretStr
    expires_at: datetime


class Forge(Protocol):
    """Every verb raises ForgeUnavailable when the forge does not answer, answers 5xx or asks to be left alone
    for a while, and Forbidden when the App is not installed on the repository or may not do it there.
    """

    git_url: str
    """Smart-HTTP base; git user is `x-access-token`."""

    async def token(self, repo: Repository, access: Literal["read", "write"]) -> ForgeToken:
        """May be one that was minted earlier, with ten minutes left at least."""
        ...

    async def head(self, repo: Repository, branch: str) -> Revision | None:
        """The branch's commit; None when there is no such branch."""
        ...

    async def is_ancestor(self, repo: Repository, old: Revision, new: Revision) -> bool:
        """False also when either commit is unknown."""
        ...

    async def read_file(self, repo: Repository, path: str, revision: Revision) -> bytes | None:
        """Its first MAX_FILE_BYTES; None when the commit is not there or has no file of that path."""
        ...

    async def list_files(
        self, repo: Repository, path: str, revision: Revision
    ) -> Sequence[str] | None:
        """The paths of the files that stand in a directory itself, sorted; `path` "" is the root.

        None when the commit is not there or has no directory of that path.
        """
        ...

    async def merge(self, repo: Repository, base: str, head: Revision, message: str) -> Revision:
        """Merges commit `head` into branch `base` and returns the merge commit.

        When `base` already contains `head`, returns base's head. Raises MergeConflict.
        """
        ...
