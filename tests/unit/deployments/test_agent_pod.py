"""What an agent asks of its pod becomes job variables, which a process pool passes over."""

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.workers.process import ProcessJobConfiguration

from deployments.agent_pod import job_variables
from deployments.templates import SESSIONS, PoolSettings, templates
from sidecar.domain.agent import Agent, AgentKind
from sidecar.domain.errors import InvalidArguments
from sidecar.domain.ids import AgentSlug


def agent(**fields):
    return Agent(
        slug=AgentSlug("maker"), name="M", kind=AgentKind.WORKER, runtime="scripted", **fields
    )


def test_an_agent_that_asks_for_nothing_has_the_pools_defaults():
    assert job_variables(agent()) == {}


def test_image_and_limits_stand_over_the_pools_defaults():
    asked = job_variables(agent(image="team/maker:3", resources={"limits": {"memory": "8Gi"}}))
    assert asked["agent_image"] == "team/maker:3"
    assert asked["agent_resources"]["limits"]["memory"] == "8Gi"
    assert "ephemeral-storage" in asked["agent_resources"]["limits"]
    assert "agent_storage_limit" not in asked


def test_a_request_above_the_default_limit_raises_the_limit():
    asked = job_variables(agent(resources={"requests": {"memory": "6Gi"}}))
    assert asked["agent_resources"]["limits"]["memory"] == "6Gi"


def test_a_limit_below_the_default_request_lowers_the_request():
    asked = job_variables(agent(resources={"limits": {"cpu": "50m"}}))
    assert asked["agent_resources"]["requests"]["cpu"] == "50m"


def test_a_limit_on_disk_is_the_volumes_size_too():
    asked = job_variables(agent(resources={"limits": {"ephemeral-storage": "30Gi"}}))
    assert asked["agent_storage_limit"] == "30Gi"


@pytest.mark.parametrize(
    "fields",
    [
        {"image": "{{ prefect.blocks.secret.password }}"},
        {"resources": {"limits": {"memory": "a lot"}}},
    ],
)
def test_what_would_be_expanded_or_cannot_be_read_is_refused(fields):
    with pytest.raises(InvalidArguments, match="maker"):
        job_variables(agent(**fields))


async def test_a_process_pool_passes_over_them():
    asked = job_variables(agent(image="team/maker:3", resources={"limits": {"memory": "8Gi"}}))
    template = templates("process", PoolSettings())[SESSIONS]
    configuration = await ProcessJobConfiguration.from_template_and_values(
        template, asked, client=PrefectClient("http://127.0.0.1:9/api")
    )
    assert configuration.command.endswith("-m flows.launch")
    assert "maker" not in configuration.model_dump_json()
