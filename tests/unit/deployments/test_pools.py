"""Applying work pools: made once, left alone when they stand, updated with what changed."""

import shlex
import sys
from types import SimpleNamespace

import pytest
from prefect.exceptions import ObjectNotFound

from deployments import pools
from deployments.templates import PoolSettings


class Server:
    """Prefect's, as far as pools go."""

    def __init__(self):
        self.pools = {}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None

    async def read_work_pool(self, name):
        if name not in self.pools:
            raise ObjectNotFound(Exception(name))
        return self.pools[name]

    async def create_work_pool(self, pool):
        self.pools[pool.name] = SimpleNamespace(
            type=pool.type, base_job_template=pool.base_job_template
        )

    async def update_work_pool(self, name, change):
        self.pools[name].base_job_template = change.base_job_template


@pytest.fixture
def server(monkeypatch):
    server = Server()
    monkeypatch.setattr(pools, "get_client", lambda: server)
    return server


async def test_both_pools_are_made_and_then_left_alone(server):
    assert await pools.apply("kubernetes") == [
        "x1-sessions: created (kubernetes)",
        "x1-previews: created (kubernetes)",
    ]
    assert await pools.apply("kubernetes") == ["x1-sessions: unchanged", "x1-previews: unchanged"]


async def test_a_python_whose_path_has_a_space_starts_flows_too(server, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/a place/bin/python")
    await pools.apply("process")
    properties = server.pools["x1-sessions"].base_job_template["variables"]["properties"]
    words = shlex.split(properties["command"]["default"])
    assert words == ["/a place/bin/python", "-m", "flows.launch"]


async def test_an_upgrade_says_which_parts_of_a_pool_changed(server):
    await pools.apply("kubernetes", PoolSettings(image_tag="1"))
    said = await pools.apply("kubernetes", PoolSettings(image_tag="2"))
    assert said[0] == (
        "x1-sessions: updated variables.properties.agent_image.default,"
        " variables.properties.image.default, variables.properties.sidecar_image.default"
    )
    template = server.pools["x1-sessions"].base_job_template
    assert template["variables"]["properties"]["agent_image"]["default"] == "x1/agent:2"


async def test_a_pool_of_another_type_is_not_touched_and_the_next_step_named(server):
    await pools.apply("process")
    with pytest.raises(pools.OtherPoolType, match=r"prefect work-pool delete x1-sessions"):
        await pools.apply("kubernetes")
