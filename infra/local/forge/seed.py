"""Puts a directory into the forge as a repository with one commit: the demo's and the tests' beginning."""

import base64
import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
from git import Actor, GitCommandError, Repo

from infra.local.errors import AskedFailed

AUTHOR = Actor("x1 operator", "operator@x1.invalid")
OUR_OWN: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TEMPLATE_DIR": "",
    "GIT_TERMINAL_PROMPT": "0",
    "NO_PROXY": "*",
    "no_proxy": "*",
    **{f"GIT_{who}_NAME": AUTHOR.name or "" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": AUTHOR.email or "" for who in ("AUTHOR", "COMMITTER")},
}
"""Git without the settings of whoever runs it: no hooks, signatures, templates or proxies. The forge is near."""


def seed_repository(forge_url: str, admin_token: str, full_name: str, directory: Path) -> str:
    """Creates `full_name` when it is not there and pushes `directory` as main's first commit.

    Returns main's head. A repository that has a main already is left as it is. Trusted content only: this
    makes a working tree. Raises AskedFailed when the forge or git refuses.
    """
    headers = {"authorization": f"Bearer {admin_token}"}
    try:
        with httpx.Client(base_url=forge_url, headers=headers, trust_env=False, timeout=30) as http:
            http.post("/admin/repos", json={"full_name": full_name}).raise_for_status()
            standing = http.get(f"/repos/{full_name}/branches/main")
        if standing.is_success:
            return str(standing.json()["commit"]["sha"])
        return _pushed(forge_url, admin_token, full_name, directory)
    except (httpx.HTTPError, GitCommandError) as error:
        raise AskedFailed(
            expected=f"the forge at {forge_url} to take {full_name}",
            came=" ".join(str(error).split()),
            then="x1 logs forge says more",
        ) from error


@contextmanager
def own_repository(tree: Path) -> Generator[Repo]:
    """A new one in a directory, in which git knows nobody's settings but ours."""
    with (
        Repo.init(tree, initial_branch="main", env=OUR_OWN) as repo,
        repo.git.custom_environment(**OUR_OWN),
    ):
        yield repo


def push(repo: Repo, url: str, admin_token: str, refs: Sequence[str]) -> None:
    """The token travels in the environment, never in a URL or an argument."""
    with repo.git.custom_environment(
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0="http.extraHeader",
        GIT_CONFIG_VALUE_0=f"Authorization: Basic {_basic(admin_token)}",
    ):
        repo.git.push(url, *refs)


def _pushed(forge_url: str, admin_token: str, full_name: str, directory: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="x1-seed-") as scratch:
        tree = Path(scratch) / "tree"
        shutil.copytree(directory, tree)
        with own_repository(tree) as repo:
            repo.git.add(all=True)
            repo.git.commit(message="Begin", quiet=True)
            push(repo, f"{forge_url}/{full_name}.git", admin_token, ["main:main"])
            return repo.head.commit.hexsha


def _basic(token: str) -> str:
    return base64.b64encode(f"x-access-token:{token}".encode()).decode()
