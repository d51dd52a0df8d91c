"""Puts a directory into the forge as a repository with one commit: the demo's and the tests' beginning."""

import base64
import shutil
import tempfile
from pathlib import Path

import httpx
from git import Actor, Repo

AUTHOR = Actor("x1 operator", "operator@x1.invalid")


def seed_repository(forge_url: str, admin_token: str, full_name: str, directory: Path) -> str:
    """Creates `full_name` when it is not there and pushes `directory` as main's first commit.

    Returns main's head. A repository that has a main already is left as it is. Trusted content only: this
    makes a working tree.
    """
    headers = {"authorization": f"Bearer {admin_token}"}
    with httpx.Client(base_url=forge_url, headers=headers, trust_env=False, timeout=30) as http:
        http.post("/admin/repos", json={"full_name": full_name}).raise_for_status()
        standing = http.get(f"/repos/{full_name}/branches/main")
        if standing.is_success:
            return str(standing.json()["commit"]["sha"])
    return _push(forge_url, admin_token, full_name, directory)


def _push(forge_url: str, admin_token: str, full_name: str, directory: Path) -> str:
    """The token travels in the environment, never in a URL or an argument."""
    with tempfile.TemporaryDirectory(prefix="x1-seed-") as scratch:
        tree = Path(scratch) / "tree"
        shutil.copytree(directory, tree)
        with Repo.init(tree, initial_branch="main") as repo:
            repo.git.add(all=True)
            commit = repo.index.commit("Begin", author=AUTHOR, committer=AUTHOR)
            with repo.git.custom_environment(
                GIT_CONFIG_COUNT="1",
                GIT_CONFIG_KEY_0="http.extraHeader",
                GIT_CONFIG_VALUE_0=f"Authorization: Basic {_basic(admin_token)}",
                GIT_TERMINAL_PROMPT="0",
            ):
                repo.git.push(f"{forge_url}/{full_name}.git", "main:main")
            return commit.hexsha


def _basic(token: str) -> str:
    return base64.b64encode(f"x-access-token:{token}".encode()).decode()
