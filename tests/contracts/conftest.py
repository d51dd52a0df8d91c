"""A forge to test: the double, and GitHub's client before the embedded forge."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from embedded_forge import APP_ID, ForgeProcess, running_forge
from forge_ground import GitGround, Ground, MemoryGround

from sidecar.relay.forge.github import GitHub


@pytest.fixture(scope="session")
def forge_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeProcess]:
    with running_forge(tmp_path_factory.mktemp("forge")) as process:
        yield process


@pytest.fixture(params=["memory", pytest.param("github", marks=pytest.mark.real)])
async def ground(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    if request.param == "memory":
        yield MemoryGround()
        return
    process: ForgeProcess = request.getfixturevalue("forge_process")
    async with GitHub(
        api_url=process.url, git_url=process.url, app_id=APP_ID, private_key=process.key
    ) as github:
        yield GitGround(github, process.url, tmp_path)
