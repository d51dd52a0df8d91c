"""Bare repositories under one root, read and merged with git's plumbing.

Object names and refs are checked before git sees them, and always follow `--` or an option's equals sign.
"""

import asyncio
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
OBJECT = re.compile(r"[0-9a-f]{40}")
ZERO = "0" * 40
GIT_TIMEOUT_SECONDS = 60
CONFIG = {
    "http.receivepack": "true",
    "receive.denyNonFastForwards": "true",
    "receive.denyDeletes": "true",
    "receive.fsckObjects": "true",
    "uploadpack.allowReachableSHA1InWant": "true",
    "gc.auto": "0",
}


class NotFound(Exception):
    """No such repository, branch, commit or file."""


class Conflict(Exception):
    """Two histories that do not merge by themselves, or a ref that moved meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    sha: str
    parents: tuple[str, ...]
    tree: str
    author: str
    email: str
    date: str
    message: str


class Repository:
    """One bare repository. Every method raises NotFound for what is not there."""

    def __init__(self, path: Path, owner: str, name: str) -> None:
        self.path = path
        self.owner = owner
        self.name = name

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    async def head_of(self, branch: str) -> str:
        """By its whole name: `rev-parse` would take `main~1` for one."""
        return await self._ask("show-ref", "--verify", "--hash", "--", f"refs/heads/{branch}")

    async def resolve(self, reference: str) -> str:
        """A branch's name or a whole commit id."""
        if OBJECT.fullmatch(reference):
            return await self._ask("rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
        return await self.head_of(reference)

    async def branches(self) -> list[tuple[str, str]]:
        listed = await self._ask(
            "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads"
        )
        return [
            (name, sha) for name, _, sha in (line.partition(" ") for line in listed.splitlines())
        ]

    async def commit(self, sha: str) -> Commit:
        layout = "%H%x00%P%x00%T%x00%an%x00%ae%x00%aI%x00%B"
        told = await self._ask(
            "show", "-s", f"--format={layout}", f"{await self.resolve(sha)}", "--"
        )
        found, parents, tree, author, email, date, message = told.split("\0", 6)
        return Commit(
            sha=found,
            parents=tuple(parents.split()),
            tree=tree,
            author=author,
            email=email,
            date=date,
            message=message.strip(),
        )

    async def log(self, reference: str, limit: int = 50) -> list[Commit]:
        listed = await self._ask(
            "rev-list", f"--max-count={limit}", await self.resolve(reference), "--"
        )
        return [await self.commit(sha) for sha in listed.split()]

    async def diff(self, sha: str) -> str:
        return await self._ask(
            "show", "--stat", "--patch", "--format=", await self.resolve(sha), "--"
        )

    async def count_between(self, base: str, head: str) -> tuple[int, int]:
        """How many commits `head` is ahead of `base`, and behind it."""
        told = await self._ask("rev-list", "--left-right", "--count", f"{base}...{head}", "--")
        behind, ahead = told.split()
        return int(ahead), int(behind)

    async def merge_base(self, base: str, head: str) -> str:
        return await self._ask("merge-base", base, head)

    async def files(self, reference: str) -> list[str]:
        listed = await self._ask(
            "ls-tree", "-r", "-z", "--name-only", await self.resolve(reference)
        )
        return [name for name in listed.split("\0") if name]

    async def read(self, path: str, reference: str) -> bytes:
        blob = f"{await self.resolve(reference)}:{path}"
        kind = (await self._run("cat-file", "-t", blob)).decode().strip()
        if kind != "blob":
            raise NotFound(path)
        return await self._run("cat-file", "blob", blob)

    async def list(self, path: str, reference: str) -> list[tuple[str, str]]:
        """What a directory holds, as (`file` or `dir`, name)."""
        tree = f"{await self.resolve(reference)}:{path}"
        listed = await self._ask("ls-tree", "-z", "--format=%(objecttype)%x00%(path)", tree)
        words = listed.split("\0")
        kinds = ("dir" if each == "tree" else "file" for each in words[::2])
        return list(zip(kinds, words[1::2], strict=False))

    async def merge(self, base: str, head: str, message: str) -> str | None:
        """Merges `head` (branch or commit) into branch `base`; None when base contains it. Raises Conflict."""
        ours, theirs = await self.head_of(base), await self.resolve(head)
        ahead, _ = await self.count_between(ours, theirs)
        if ahead == 0:
            return None
        try:
            tree = (await self._ask("merge-tree", "--write-tree", ours, theirs)).split()[0]
        except NotFound as error:
            raise Conflict("merge conflict") from error
        made = await self._ask(
            *("commit-tree", tree, "-p", ours, "-p", theirs, "-m", message.replace("\0", "")),
            identity=True,
        )
        try:
            await self._run("update-ref", f"refs/heads/{base}", made, ours)
        except NotFound as error:
            raise Conflict(f"{base} moved while it was merged into") from error
        return made

    async def _ask(self, *words: str, identity: bool = False) -> str:
        return (await self._run(*words, identity=identity)).decode("utf-8", "replace").strip("\n")

    async def _run(self, *words: str, identity: bool = False) -> bytes:
        if any("\0" in word for word in words):
            raise NotFound("git has no name with a NUL")  # it would end the argument there
        process = await asyncio.create_subprocess_exec(
            "git",
            "--git-dir",
            str(self.path),
            *words,
            env=environment(identity=identity),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(GIT_TIMEOUT_SECONDS):
                told, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            raise NotFound(complaint.decode("utf-8", "replace").strip() or words[-1])
        return told


class Repositories:
    """`root` holds `<owner>/<name>.git`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, owner: str, name: str) -> Repository:
        name = name.removesuffix(".git")
        if not (_is_name(owner) and _is_name(name)):
            raise NotFound(f"{owner}/{name}")
        path = self.root / owner / f"{name}.git"
        if not path.is_dir():
            raise NotFound(f"{owner}/{name}")
        return Repository(path, owner, name)

    def all(self) -> list[Repository]:
        return [
            Repository(path, path.parent.name, path.name.removesuffix(".git"))
            for path in sorted(self.root.glob("*/*.git"))
        ]

    async def create(self, owner: str, name: str) -> Repository:
        """Repeatable. Raises ValueError for a name that GitHub would not take either."""
        name = name.removesuffix(".git")
        if not (_is_name(owner) and _is_name(name)):
            raise ValueError(
                f"expected owner/name of letters, digits, - _ and ., came {owner}/{name}"
            )
        path = self.root / owner / f"{name}.git"
        if not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.root, prefix=".draft-") as scratch:
                draft = Path(scratch) / "bare"
                await _git("init", "--bare", "--quiet", "--initial-branch=main", "--", str(draft))
                for key, value in CONFIG.items():
                    await _git("--git-dir", str(draft), "config", key, value)
                if not path.is_dir():  # another request may have been first
                    draft.rename(path)
        return Repository(path, owner, name)


def environment(*, identity: bool = False) -> dict[str, str]:
    """Nothing of the user's configuration reaches these repositories."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    kept |= {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }
    if identity:
        for role in ("AUTHOR", "COMMITTER"):
            kept |= {f"GIT_{role}_NAME": "x1 forge", f"GIT_{role}_EMAIL": "forge@x1.invalid"}
    return kept


def _is_name(name: str) -> bool:
    return bool(NAME.fullmatch(name)) and name not in {".", ".."} and not name.startswith("-")


async def _git(*words: str) -> None:
    process = await asyncio.create_subprocess_exec("git", *words, env=environment())
    if await process.wait():
        raise RuntimeError(f"git {words[0]} failed with exit code {process.returncode}")
