"""An agent survives the round through its form in Prefect's UI, and a bad edit is told by its field."""

from dataclasses import MISSING, fields

import pytest

from blocks.agent import AgentBlock
from blocks.agent_file import BLOCK_TYPE, agent_file
from sidecar.domain.agent import Agent, AgentKind, Limits, McpServer, Schedule
from sidecar.domain.attachment import Attachment
from sidecar.domain.budget import Budget
from sidecar.domain.errors import InvalidArguments
from sidecar.domain.ids import AgentSlug, Repository
from sidecar.wire.agent_file import parse_agent

WHOLE = Agent(
    slug=AgentSlug("hirer"),
    name="yes",
    kind=AgentKind.ORCHESTRATOR,
    runtime="scripted",
    description="Hires: «builders» #1",
    model="1.0",
    image="ghcr.io/acme/agent:1",
    instructions="# Charter\n\n\tGo on.  \n\u2028🚀: {really}\n",
    script="turns:\n  - say: 'hello'\n",
    repos=(
        Attachment(
            repo=Repository("o/r"),
            branch="main",
            mount_path="plan/here",
            allow_push=True,
            allow_branches=("main", "feat/*"),
            allow_merge=True,
            protected_paths=("ci/**",),
            max_pack_bytes=4096,
        ),
        Attachment(repo=Repository("o/s"), branch="trunk", mount_path="s"),
    ),
    spawns=(AgentSlug("builder"),),
    schedule=Schedule(cron="0 9 * * *", timezone="Europe/Zurich"),
    heartbeat="Look.",
    requires_secrets=("KEY",),
    budget=Budget(
        usd=3.5, tokens=9, turns=40, wall_minutes=5, usd_per_day=20.0, tokens_per_day=1000
    ),
    limits=Limits(children=2, depth=1, idle_minutes=0.5, deadline_minutes=30.0),
    resources={"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
    mcp_servers=(McpServer(name="docs", url="https://docs.example/mcp"),),
    allow_hosts=("pypi.org",),
    workspace="team",
)
SIMPLE = Agent(
    slug=AgentSlug("simple"), name="Simple", kind=AgentKind.WORKER, runtime="claude-code"
)


def there_and_back(agent: Agent) -> Agent:
    data = AgentBlock.of(agent).model_dump(mode="json", include=set(AgentBlock.model_fields))
    return parse_agent(agent_file(agent.slug, data), "block", str)


@pytest.mark.parametrize("agent", [WHOLE, SIMPLE])
def test_an_agent_comes_back_from_its_block_as_it_went_in(agent: Agent):
    assert there_and_back(agent) == agent


def test_the_round_is_made_with_every_field_an_agent_has():
    for field in fields(Agent):
        usual = field.default if field.default_factory is MISSING else field.default_factory()
        assert getattr(WHOLE, field.name) != usual


def test_blocks_are_found_by_the_type_that_they_are_saved_with():
    assert AgentBlock.get_block_type_slug() == BLOCK_TYPE


def test_an_edit_that_cannot_be_is_told_by_every_field():
    data = {"kind": "nonsense", "runtime": "claude-code", "budget": {"usd": -1}, "unheard": 1}
    with pytest.raises(InvalidArguments) as caught:
        parse_agent(agent_file("bad", data), "block bad", str)
    assert {found.path for found in caught.value.findings} == {
        "block bad: kind",
        "block bad: budget.usd",
        "block bad: unheard",
    }


def test_a_block_cannot_speak_for_another_agent():
    data = {"slug": "other", "kind": "worker", "runtime": "claude-code"}
    assert parse_agent(agent_file("mine", data), "block mine", str).slug == "mine"
