"""A repository of real git for each test that asks for one."""

import os
from pathlib import Path

import pytest
from packs import Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "agent",
        "GIT_AUTHOR_EMAIL": "agent@x1.invalid",
        "GIT_COMMITTER_NAME": "agent",
        "GIT_COMMITTER_EMAIL": "agent@x1.invalid",
        "GIT_AUTHOR_DATE": "1700000000 +0000",
        "GIT_COMMITTER_DATE": "1700000000 +0000",
    }
    made = Repo(tmp_path / "repo", environment)
    made.path.mkdir()
    made.git("init", "--quiet")
    return made
