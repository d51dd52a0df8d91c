"""A forge in memory: the double that passes the same contract tests as GitHub's client."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import SecretStr

from sidecar.domain.errors import Forbidden, ForgeUnavailable, MergeConflict
from sidecar.domain.ids import Repository, Revision
from sidecar.relay.forge.port import MAX_FILE_BYTES, ForgeToken


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCommit:
    repo: str
    parents: tuple[Revision, ...]
    files: dict[str, bytes]


@dataclass(slots=True)
class MemoryForge:
    """`is_away` makes every verb raise ForgeUnavailable."""

    git_url: str = "http://forge.invalid"
    is_away: bool = False
    heads: dict[tuple[str, str], Revision] = field(default_factory=dict[tuple[str, str], Revision])
    commits: dict[str, MemoryCommit] = field(default_factory=dict[str, MemoryCommit])

    def commit(self, repo: str, branch: str, files: dict[str, bytes], **parents: str) -> Revision:
        """Adds a commit to `branch`, which begins at `start` when it is new."""
        standing = self.heads.get((repo, branch)) or parents.get("start")
        before = self.commits[standing].files if standing else {}
        parents_of = (Revision(standing),) if standing else ()
        made = self._add(repo, parents_of, before | files)
        self.heads[repo, branch] = made
        return made

    def _add(self, repo: str, parents: tuple[Revision, ...], files: dict[str, bytes]) -> Revision:
        content = repr((parents, sorted(files.items()), len(self.commits)))
        made = Revision(hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest())
        self.commits[made] = MemoryCommit(repo=repo, parents=parents, files=files)
        return made

    async def token(self, repo: Repository, access: Literal["read", "write"]) -> ForgeToken:
        self._answer(repo)
        expires = datetime.now(UTC) + timedelta(hours=1)
        return ForgeToken(secret=SecretStr(f"token-{repo}-{access}"), expires_at=expires)

    async def head(self, repo: Repository, branch: str) -> Revision | None:
        self._answer(repo)
        return self.heads.get((repo, branch))

    async def is_ancestor(self, repo: Repository, old: Revision, new: Revision) -> bool:
        self._answer(repo)
        return self._has(repo, new) and old in self._history(new)

    async def read_file(self, repo: Repository, path: str, revision: Revision) -> bytes | None:
        self._answer(repo)
        if not self._has(repo, revision):
            return None
        content = self.commits[revision].files.get(path)
        return None if content is None else content[:MAX_FILE_BYTES]

    async def list_files(
        self, repo: Repository, path: str, revision: Revision
    ) -> Sequence[str] | None:
        self._answer(repo)
        if not self._has(repo, revision):
            return None
        inside = f"{path}/" if path else ""
        below = [each for each in self.commits[revision].files if each.startswith(inside)]
        if not below:
            return None
        return sorted(each for each in below if "/" not in each.removeprefix(inside))

    async def merge(self, repo: Repository, base: str, head: Revision, message: str) -> Revision:
        self._answer(repo)
        ours = self.heads.get((repo, base))
        if ours is None or not self._has(repo, head):
            raise MergeConflict(f"{repo}: {head[:8]} does not merge into {base}: {message}")
        if head in self._history(ours):
            return ours
        mine, theirs = self.commits[ours].files, self.commits[head].files
        common = self._history(ours) & self._history(head)
        if not common:
            raise MergeConflict(f"{repo}: {head[:8]} does not merge into {base}: unrelated")
        before = self.commits[max(common, key=list(self.commits).index)].files
        both = {
            name
            for name in mine.keys() | theirs.keys()
            if mine.get(name) != before.get(name)
            and theirs.get(name) != before.get(name)
            and mine.get(name) != theirs.get(name)
        }
        if both:
            raise MergeConflict(f"{repo}: {head[:8]} does not merge into {base}: {sorted(both)}")
        changed = {name: text for name, text in theirs.items() if before.get(name) != text}
        merged = self._add(repo, (ours, head), mine | changed)
        self.heads[repo, base] = merged
        return merged

    def _history(self, revision: str) -> set[Revision]:
        seen: set[Revision] = set()
        open_ends = [Revision(revision)]
        while open_ends:
            current = open_ends.pop()
            if current in self.commits and current not in seen:
                seen.add(current)
                open_ends.extend(self.commits[current].parents)
        return seen

    def _has(self, repo: str, revision: str) -> bool:
        found = self.commits.get(revision)
        return found is not None and found.repo == repo

    async def aclose(self) -> None:
        return

    def _answer(self, repo: str) -> None:
        if self.is_away:
            raise ForgeUnavailable("the forge does not answer")
        if repo not in {name for name, _ in self.heads}:
            raise Forbidden(f"the forge App is not installed on {repo}; install it there first")
