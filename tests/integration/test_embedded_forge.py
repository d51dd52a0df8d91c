"""The embedded forge over real git: what GitHub's API offers and the relay's port does not ask for."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from embedded_forge import ADMIN, APP_ID, running_forge
from forge_ground import GitGround

from infra.local.forge import repositories
from infra.local.forge.repositories import Repositories
from sidecar.domain.ids import Repository, Revision
from sidecar.relay.forge.github import GitHub

pytestmark = pytest.mark.real
APP = Repository("acme/app")


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[GitGround]:
    with running_forge(tmp_path) as process:
        async with GitHub(
            api_url=process.url, git_url=process.url, app_id=APP_ID, private_key=process.key
        ) as github:
            yield GitGround(github, process.url, tmp_path / "trees")


@pytest.fixture
async def http(ground: GitGround) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {ADMIN}"}
    async with httpx.AsyncClient(
        base_url=ground.url, headers=headers, trust_env=False, timeout=60
    ) as client:
        yield client


async def test_two_commits_compare_in_four_ways(ground: GitGround, http: httpx.AsyncClient):
    begin = await ground.commit(APP, "main", {"a": b"1"})
    left = await ground.commit(APP, "left", {"b": b"1"}, start=begin)
    right = await ground.commit(APP, "right", {"c": b"1"}, start=begin)

    async def compared(old: Revision, new: Revision) -> tuple[str, int, int]:
        told = (await http.get(f"/repos/{APP}/compare/{old}...{new}")).json()
        assert told["merge_base_commit"] == {"sha": begin}
        return told["status"], told["ahead_by"], told["behind_by"]

    assert await compared(begin, begin) == ("identical", 0, 0)
    assert await compared(begin, left) == ("ahead", 1, 0)
    assert await compared(left, begin) == ("behind", 0, 1)
    assert await compared(left, right) == ("diverged", 1, 1)
    for span in (f"{begin}...{'f' * 40}", f"{begin}", "...", f"{begin}..{left}"):
        assert (await http.get(f"/repos/{APP}/compare/{span}")).status_code == 404


async def test_a_pull_request_is_merged_once(ground: GitGround, http: httpx.AsyncClient):
    begin = await ground.commit(APP, "main", {"a": b"1"})
    head = await ground.commit(APP, "feat", {"b": b"1"}, start=begin)
    asked = {"title": "Add b", "head": "feat", "base": "main"}
    opened = (await http.post(f"/repos/{APP}/pulls", json=asked)).json()
    assert (opened["number"], opened["state"], opened["head"]["sha"]) == (1, "open", head)
    path = f"/repos/{APP}/pulls/1"
    moved = await http.put(f"{path}/merge", json={"sha": begin})
    assert moved.status_code == 409
    merged = (await http.put(f"{path}/merge", json={"sha": head})).json()["sha"]
    again = await http.put(f"{path}/merge", json={"sha": head})
    assert again.status_code == 405
    assert (await http.get(path)).json()["merge_commit_sha"] == merged


async def test_a_pull_request_needs_both_branches(ground: GitGround, http: httpx.AsyncClient):
    await ground.commit(APP, "main", {"a": b"1"})
    for asked in ({"head": "none", "base": "main"}, {"head": "main", "base": "none"}, {}):
        answer = await http.post(f"/repos/{APP}/pulls", json=asked)
        assert answer.status_code == 422
    assert (await http.get(f"/repos/{APP}/pulls")).json() == []


async def test_a_directory_is_listed(ground: GitGround, http: httpx.AsyncClient):
    await ground.commit(APP, "main", {"docs/a.md": b"1", "docs/in/b.md": b"1"})
    listed = (await http.get(f"/repos/{APP}/contents/docs")).json()
    assert listed == [{"type": "file", "name": "a.md"}, {"type": "dir", "name": "in"}]


async def test_a_repository_made_twice_at_once_is_one(tmp_path: Path):
    made = await asyncio.gather(*(Repositories(tmp_path).create("acme", "app") for _ in range(4)))
    assert {each.path for each in made} == {tmp_path / "acme/app.git"}
    assert [each.name for each in (tmp_path / "acme").iterdir()] == ["app.git"]


async def test_a_git_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    slow = tmp_path / "git"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(repositories, "GIT_TIMEOUT_SECONDS", 3)
    with pytest.raises(TimeoutError):
        await repositories.Repository(tmp_path, "acme", "app").branches()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
