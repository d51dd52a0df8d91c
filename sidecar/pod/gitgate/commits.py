"""The commits of a pack and nothing else of it: who descends from whom, by content and not by anyone's word.

A commit's id is the hash of its bytes, so a proof made of them holds whoever sent them.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from sidecar.pod.gitgate import delta
from sidecar.pod.gitgate.pack import BadPack, Entry, Kind

MAX_COMMIT_BYTES: Final = 1 << 20
MAX_KEPT_BYTES: Final = 64 << 20
OVERHEAD_BYTES: Final = 512
"""What a kept commit costs beside its content, about."""
COMMIT: Final = {
    digits: re.compile(rb"tree [0-9a-f]{%d}\n((?:parent [0-9a-f]{%d}\n)*)" % (digits, digits))
    for digits in (40, 64)
}
"""Parents stand right after the tree and nowhere else: git reads no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    content: bytes
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """`is_reached`: the ancestor is proven. Else `outside`: where the walk left the pack, nearest first."""

    is_reached: bool
    outside: tuple[str, ...] = ()


class Commits:
    """A pack's keeper. `has_unknown`: some delta's base is not in this pack, so it may be a commit unseen."""

    def __init__(self, object_format: str) -> None:
        self._object_format = object_format
        self._commits: dict[str, Commit] = {}
        self._ids: dict[int, str] = {}
        self._kept_bytes = 0
        self.has_unknown = False

    def wants(self, entry: Entry) -> bool:
        if not self._is_commit(entry):
            self.has_unknown = self.has_unknown or entry.kind is Kind.REF_DELTA
            return False
        if entry.size > MAX_COMMIT_BYTES:
            raise BadPack(f"a commit is larger than {MAX_COMMIT_BYTES >> 20} MiB")
        return True

    def keep(self, entry: Entry, content: bytes) -> None:
        base = self._base(entry)
        if base is not None:
            content = delta.apply(base.content, content, max_bytes=MAX_COMMIT_BYTES)
        self._kept_bytes += len(content) + OVERHEAD_BYTES
        if self._kept_bytes > MAX_KEPT_BYTES:
            raise BadPack("too many commits at once; push in smaller steps")
        commit_id = self._id(content)
        parents = _parents(content, digits=len(commit_id))
        self._commits[commit_id] = Commit(content=content, parents=parents)
        self._ids[entry.offset] = commit_id

    def walk(self, new: str, old: str) -> Walk:
        """From `new` to the parents, until `old` is met or the pack is left everywhere."""
        seen, outside, ahead = {new}, list[str](), [new]
        for each in ahead:
            if each == old:
                return Walk(is_reached=True)
            commit = self._commits.get(each)
            if commit is None:
                outside.append(each)
                continue
            fresh = [parent for parent in commit.parents if parent not in seen]
            seen.update(fresh)
            ahead.extend(fresh)
        return Walk(is_reached=False, outside=tuple(outside))

    def _is_commit(self, entry: Entry) -> bool:
        return entry.kind is Kind.COMMIT or self._base(entry) is not None

    def _base(self, entry: Entry) -> Commit | None:
        base = self._ids.get(entry.base) if isinstance(entry.base, int) else entry.base
        return None if base is None else self._commits.get(base)

    def _id(self, content: bytes) -> str:
        made = hashlib.new(self._object_format, usedforsecurity=False)
        made.update(b"commit %d\0" % len(content))
        made.update(content)
        return made.hexdigest()


class Nothing:
    """Keeps nothing: for a push that makes new refs only, where there is nothing to prove."""

    def wants(self, entry: Entry) -> bool:  # noqa: ARG002 - a keeper's verb
        return False

    def keep(self, entry: Entry, content: bytes) -> None:
        """Is never asked."""


def _parents(content: bytes, *, digits: int) -> tuple[str, ...]:
    found = COMMIT[digits].match(content)
    if found is None:
        raise BadPack("the pack is damaged: a commit has no tree")
    named = found[1].split(b"\n")[:-1]
    return tuple(dict.fromkeys(line.removeprefix(b"parent ").decode() for line in named))
