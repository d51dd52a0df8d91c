"""Packs: made by git, or by hand where git would not make them."""

import hashlib
import subprocess
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sidecar.pod.gitgate.head import Head, Update

COMMIT, TREE, BLOB, OFS_DELTA, REF_DELTA = 1, 2, 3, 6, 7
ZERO = "0" * 40


@dataclass(frozen=True)
class Repo:
    """A repository of real git, whose every commit is one that a test names."""

    path: Path
    environment: dict[str, str]

    def git(self, *words: str, stdin: bytes = b"") -> bytes:
        return subprocess.run(
            ["git", *words],
            cwd=self.path,
            env=self.environment,
            input=stdin,
            capture_output=True,
            check=True,
        ).stdout

    def commit(self, message: str = "Change", *, parents: Sequence[str] = ()) -> str:
        tree = self.git("write-tree").decode().strip()
        wanted = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *wanted, "-m", message).decode().strip()

    def line(self, length: int, *, start: str | None = None, message: str = "Change") -> list[str]:
        made: list[str] = []
        for number in range(length):
            before = made[-1:] or ([start] if start else [])
            made.append(self.commit(f"{message} {number}", parents=before))
        return made

    def add(self, name: str, content: bytes) -> None:
        (self.path / name).write_bytes(content)
        self.git("add", name)

    def pack(self, *revisions: str, options: Sequence[str] = ("--delta-base-offset",)) -> bytes:
        """What git would send for `revisions`, e.g. `new ^old`."""
        words = ["pack-objects", "--stdout", "--revs", "--thin", "--quiet", *options]
        return self.git(*words, stdin="\n".join(revisions).encode() + b"\n")


def moves(old: str, new: str, ref: str = "refs/heads/feat/a") -> Head:
    return Head(updates=(Update(ref=ref, old=old, new=new),), capabilities=())


def entry(kind: int, content: bytes, *, base: bytes = b"", says: int | None = None) -> bytes:
    size = len(content) if says is None else says
    first, size = (kind << 4) | (size & 15), size >> 4
    head = bytearray()
    while size:
        head.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    head.append(first)
    return bytes(head) + base + zlib.compress(content)


def packed(*entries: bytes, count: int | None = None) -> bytes:
    number = len(entries) if count is None else count
    body = b"PACK" + (2).to_bytes(4) + number.to_bytes(4) + b"".join(entries)
    return body + hashlib.sha1(body).digest()


def commit_content(*parents: str, message: str = "Change") -> bytes:
    lines = [f"tree {'1' * 40}", *(f"parent {parent}" for parent in parents)]
    lines += ["author a <a@x1.invalid> 1 +0000", "committer a <a@x1.invalid> 1 +0000"]
    return ("\n".join(lines) + f"\n\n{message}\n").encode()


def id_of(content: bytes) -> str:
    return hashlib.sha1(b"commit %d\0" % len(content) + content).hexdigest()
