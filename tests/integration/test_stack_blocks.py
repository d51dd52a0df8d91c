"""An agent's block edited in a real Prefect: nothing changes until a human applies it, and then all does."""

import json
import os
import subprocess
import sys

import httpx
import pytest

from infra.local import secrets
from infra.local.stack import running
from infra.local.state import StateDir

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

X1 = (sys.executable, "-c", "from infra.local.cli import main; main()")
WAIT_SECONDS = 240
AGENT = """\
slug: ticker
name: Ticker
kind: scheduled
runtime: claude-code
instructions: Tick.
schedule: {interval_seconds: 3600}
limits: {children: 2}
repos: [{repo: acme/app}]
"""
EDIT = {
    "description": "Edited in the UI.",
    "schedule": {"interval_seconds": 7200, "timezone": "UTC"},
    "spawns": ["builder"],
}


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    directory = StateDir(root=tmp_path_factory.mktemp("x1"))
    done = x1(directory, "up", "--only", "prefect", "--only", "relay")
    assert done.returncode == 0, done.stderr
    yield directory
    x1(directory, "down")


@pytest.fixture(scope="module")
def prefect(state):
    """Its API, with the work pool that the workers would have made: here no tick is to be run."""
    stack = running(state)
    assert stack is not None
    user, _, password = secrets.read(state, "prefect-auth").partition(":")
    with httpx.Client(
        base_url=stack.prefect_api_url, auth=(user, password), trust_env=False, timeout=60
    ) as client:
        pool = {"name": "x1-sessions", "type": "process"}
        client.post("/work_pools/", json=pool).raise_for_status()
        yield client


@pytest.fixture
def applied(state, prefect, tmp_path):
    """The agent stands as its file says, in the relay, its block and its deployment."""
    file = tmp_path / "ticker.yaml"
    file.write_text(AGENT)
    done = x1(state, "agents", "apply", str(file))
    assert done.returncode == 0, done.stderr


def x1(state, *words):
    environment = {**os.environ, "X1_STATE_DIR": str(state.root)}
    return subprocess.run(
        [*X1, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


def edit(prefect, changes):
    """As the UI's form saves it."""
    query = {"block_types": {"slug": {"any_": ["x1-agent"]}}}
    (document,) = prefect.post("/block_documents/filter", json=query).json()
    body = {"data": changes, "merge_existing_data": True}
    prefect.patch(f"/block_documents/{document['id']}", json=body).raise_for_status()


def interval(prefect):
    (schedule,) = prefect.get("/deployments/name/session/ticker").json()["schedules"]
    return schedule["schedule"]["interval"]


def the_row(state):
    (agent,) = json.loads(x1(state, "agents", "list", "--json").stdout)
    return agent


def plan(state):
    done = x1(state, "agents", "plan", "--from-blocks", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.usefixtures("applied")
def test_a_block_nobody_edited_shows_as_unchanged(state):
    assert plan(state) == {"applied": False, "changes": [], "unchanged": ["ticker"], "unknown": []}


@pytest.mark.usefixtures("applied")
def test_an_edit_is_planned_and_takes_effect_when_it_is_applied(state, prefect):
    edit(prefect, EDIT)
    (change,) = plan(state)["changes"]
    assert set(change["fields"]) == set(EDIT)
    assert change["grants"] == [{"type": "spawn", "target": "builder"}]
    assert the_row(state)["description"] == ""
    assert interval(prefect) == 3600

    done = x1(state, "agents", "apply", "--from-blocks", "ticker")

    assert done.returncode == 0, done.stderr
    assert "grants spawn builder" in done.stdout
    assert the_row(state)["description"] == EDIT["description"]
    assert the_row(state)["limits"]["children"] == 2
    assert interval(prefect) == 7200
    assert plan(state)["unchanged"] == ["ticker"]


@pytest.mark.usefixtures("applied")
def test_an_edit_that_cannot_be_is_told_and_leaves_what_stands(state, prefect):
    before = the_row(state)
    edit(prefect, {"kind": "boss", "budget": {"usd": -1}})
    done = x1(state, "agents", "apply", "--from-blocks")
    assert done.returncode == 1
    assert "block ticker: kind: " in done.stderr
    assert "block ticker: budget.usd: " in done.stderr
    assert the_row(state) == before
