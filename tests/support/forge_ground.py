"""Where the forge's contract is tested: a forge, and the one thing that no port offers: making commits."""

import asyncio
import base64
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
from embedded_forge import ADMIN

from sidecar.domain.ids import Repository, Revision
from sidecar.relay.forge.github import GitHub
from sidecar.relay.forge.memory import MemoryForge
from sidecar.relay.forge.port import Forge


class Ground(Protocol):
    @property
    def forge(self) -> Forge: ...

    async def commit(
        self, repo: Repository, branch: str, files: dict[str, bytes], start: str | None = None
    ) -> Revision:
        """A commit on top of `branch`, which begins at `start`, or at nothing, when it is new."""
        ...


@dataclass
class MemoryGround:
    forge: MemoryForge = field(default_factory=MemoryForge)

    async def commit(
        self, repo: Repository, branch: str, files: dict[str, bytes], start: str | None = None
    ) -> Revision:
        return self.forge.commit(repo, branch, files, **({"start": start} if start else {}))


@dataclass
class GitGround:
    """Commits in a working tree and pushes them over HTTP, as people do."""

    forge: GitHub
    url: str
    home: Path

    async def commit(
        self, repo: Repository, branch: str, files: dict[str, bytes], start: str | None = None
    ) -> Revision:
        tree = self.home / repo.replace("/", "-")
        if not tree.exists():
            await self._create(repo, tree)
        await self._git(tree, "fetch", "--quiet", "origin")
        standing = await self.forge.head(repo, branch) or start
        if standing:
            await self._git(tree, "checkout", "--quiet", "--detach", standing)
        else:
            await self._git(tree, "checkout", "--quiet", "--orphan", f"new-{os.urandom(4).hex()}")
            await self._git(tree, "rm", "-rfq", "--ignore-unmatch", ".")
        for name, content in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(content)
        await self._git(tree, "add", "--all")
        await self._git(tree, "commit", "--quiet", "--allow-empty", "-m", f"{repo} {len(files)}")
        await self._git(tree, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        return Revision(await self._git(tree, "rev-parse", "HEAD"))

    async def _create(self, repo: Repository, tree: Path) -> None:
        headers = {"authorization": f"Bearer {ADMIN}"}
        async with httpx.AsyncClient(
            base_url=self.url, headers=headers, trust_env=False, timeout=60
        ) as http:
            (await http.post("/admin/repos", json={"full_name": repo})).raise_for_status()
        tree.mkdir(parents=True)
        await self._git(tree, "init", "--quiet")
        await self._git(tree, "remote", "add", "origin", f"{self.url}/{repo}.git")

    async def _git(self, tree: Path, *words: str) -> str:
        basic = base64.b64encode(f"x-access-token:{ADMIN}".encode()).decode()
        process = await asyncio.create_subprocess_exec(
            "git",
            *words,
            cwd=tree,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "http.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
                "GIT_AUTHOR_NAME": "a person",
                "GIT_AUTHOR_EMAIL": "person@x1.invalid",
                "GIT_COMMITTER_NAME": "a person",
                "GIT_COMMITTER_EMAIL": "person@x1.invalid",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told = (await asyncio.wait_for(process.communicate(), 60))[0].decode().strip()
        assert process.returncode == 0, f"git {words[0]}: {told}"
        return told
