"""Agent files: what they become, and what they say when they cannot be used."""

import pytest

from sidecar.domain.agent import AgentKind
from sidecar.domain.errors import InvalidArguments
from sidecar.wire.agent_file import parse_agent

WHOLE = """\
slug: hirer
name: The hirer
kind: orchestrator
runtime: scripted
description: Hires.
model: big
image: ghcr.io/acme/agent:1
instructions: {file: hirer.md}
script: {file: hirer.script.yaml}
repos:
  - {repo: acme/plan, branch: main, mount_path: plan, allow_push: true, allow_branches: [main]}
  - {repo: acme/app, branch: main, allow_merge: true}
spawns: [builder]
schedule: {cron: "0 9 * * 1", timezone: Europe/Berlin}
heartbeat: Look.
requires_secrets: [KEY]
budget: {usd: 5, turns: 9, usd_per_day: 20}
limits: {children: 2, depth: 1, idle_minutes: 0.5, deadline_minutes: 30}
resources: {requests: {cpu: "1"}, limits: {memory: 1Gi}}
mcp_servers: [{name: docs, url: "https://docs.example/mcp"}]
network: {allow_hosts: [pypi.org]}
workspace: team
"""
SIMPLE = "slug: a\nkind: worker\nruntime: claude-code\n"


def beside(name: str) -> str:
    return f"text of {name}"


def nothing(name: str) -> str:
    raise FileNotFoundError(2, "there is no such file")


def findings(text: str, read=beside) -> list[tuple[str, int | None]]:
    with pytest.raises(InvalidArguments) as caught:
        parse_agent(text, "a.yaml", read)
    return [(found.path, found.line) for found in caught.value.findings]


def test_every_field_of_a_file_reaches_the_agent():
    agent = parse_agent(WHOLE, "hirer.yaml", beside)
    assert (agent.slug, agent.kind, agent.name) == ("hirer", AgentKind.ORCHESTRATOR, "The hirer")
    assert agent.instructions == "text of hirer.md"
    assert agent.script == "text of hirer.script.yaml"
    assert agent.repos[0].allow_push
    assert agent.repos[0].allow_branches == ("main",)
    assert agent.repos[1].mount_path == "app"
    assert agent.repos[1].allow_merge
    assert agent.spawns == ("builder",)
    assert agent.schedule is not None
    assert agent.schedule.timezone == "Europe/Berlin"
    assert agent.heartbeat == "Look."
    assert agent.budget.usd_per_day == 20
    assert agent.limits.idle_minutes == 0.5
    assert agent.resources == {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    assert agent.mcp_servers[0].name == "docs"
    assert agent.allow_hosts == ("pypi.org",)
    assert agent.workspace == "team"


def test_three_fields_are_enough_and_nothing_is_allowed_by_default():
    agent = parse_agent(SIMPLE + "repos: [{repo: acme/app}]\n", "a.yaml", beside)
    assert agent.name == "a"
    assert not agent.repos[0].allow_push
    assert agent.repos[0].allow_branches == ("feat/*",)
    assert agent.heartbeat


def test_all_errors_come_at_once_each_with_its_line():
    text = "slug: A!\nkind: boss\nruntime: x\nbudget:\n  usd: -1\nwhat: 1\nrepos:\n  - repo: one\n"
    assert findings(text) == [
        ("a.yaml: slug", 1),
        ("a.yaml: kind", 2),
        ("a.yaml: runtime", 3),
        ("a.yaml: budget.usd", 5),
        ("a.yaml: what", 6),
        ("a.yaml: repos[0].repo", 8),
    ]


def test_a_file_that_is_not_there_is_found_together_with_other_errors():
    text = "slug: a\nkind: nope\nruntime: claude-code\ninstructions:\n  file: gone.md\n"
    assert findings(text, nothing) == [("a.yaml: kind", 2), ("a.yaml: instructions.file", 5)]


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ("spawns: [a]\n", "spawns[0]"),
        ("script: 'x'\n", "script"),
        ("repos: [{repo: acme/app}, {repo: acme/app}]\n", "repos[1].repo"),
        ("repos: [{repo: acme/app, mount_path: ../up}]\n", "repos[0].mount_path"),
        ("schedule: {timezone: Nowhere/At-all, interval_seconds: 5}\n", "schedule.timezone"),
        ("schedule: {}\n", "schedule"),
        ("schedule: {cron: '99 * * * *'}\n", "schedule.cron"),
        ("schedule: {cron: 'H 9 * * someday'}\n", "schedule.cron"),
        ("schedule: {cron: '0 9 * *'}\n", "schedule.cron"),
        ("mcp_servers: [{name: x, url: 'file:///etc'}]\n", "mcp_servers[0].url"),
        ("slug: b\n", "slug"),
    ],
)
def test_what_cannot_work_is_refused_by_its_place(more: str, place: str):
    assert f"a.yaml: {place}" in [path for path, _ in findings(SIMPLE + more)]


@pytest.mark.parametrize("text", ["", "[]", "- a", ": :", "a: &x [1]\nb: *x\n", "\x00"])
def test_what_is_no_agent_at_all_says_so(text: str):
    assert findings(text)
