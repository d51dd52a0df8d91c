"""Prefect's server and both workers as the stack starts them, with a flow that tells what it sees."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pids import is_gone

from infra.local.components import prefect, worker
from infra.local.stack import running
from infra.local.state import StateDir

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

X1 = (sys.executable, "-c", "from infra.local.cli import main; main()")
WAIT_SECONDS = 240
FLOW = """
import json, os, sys
from pathlib import Path
from prefect import flow

@flow
async def tell(path: str):
    names = sorted(name for name in os.environ if name.startswith(("X1_", "PREFECT_SERVER")))
    Path(path).write_text(json.dumps({"names": names, "argv": sys.orig_argv[1:], "pid": os.getpid()}))
"""
RUN = """
import asyncio, sys
from prefect.deployments import run_deployment
from prefect.types.entrypoint import EntrypointType
from tellingflow import tell

async def main():
    here, answer = sys.argv[1:]
    deployment = await tell.ato_deployment(
        name="here", work_pool_name="x1-previews", entrypoint_type=EntrypointType.MODULE_PATH,
        job_variables={"env": {"PYTHONPATH": here}},
    )
    await deployment.aapply()
    run = await run_deployment("tell/here", parameters={"path": answer}, timeout=200, poll_interval=0.2)
    print(run.state.type.value)

asyncio.run(main())
"""

SCHEDULE = """
import asyncio
from prefect import get_client
from prefect.client.schemas.filters import DeploymentFilter
from deployments.register import register_agents
from sidecar.wire.agent_file import parse_agent

AGENT = '''
slug: ticker
name: Ticker
kind: scheduled
runtime: claude-code
instructions: Tick.
schedule: {interval_seconds: 3600}
heartbeat: Tick.
'''

async def main():
    await register_agents([parse_agent(AGENT, "ticker.yaml", str)])
    async with get_client() as client, asyncio.timeout(200):
        while not (runs := await client.read_flow_runs(
            deployment_filter=DeploymentFilter(name={"any_": ["ticker"]})
        )):
            await asyncio.sleep(0.5)
    print(runs[0].state.name, runs[0].parameters)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    state = StateDir(root=tmp_path_factory.mktemp("x1"))
    done = x1(state, "up", "--only", "prefect")
    assert done.returncode == 0, done.stderr
    yield running(state)
    x1(state, "down")


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


def until(condition):
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.05)


def test_a_worker_runs_flows_with_little_in_their_environment(stack, tmp_path):
    (tmp_path / "tellingflow.py").write_text(FLOW)
    answer = tmp_path / "answer.json"
    planned = worker.component(stack)
    log = (tmp_path / "worker.log").open("wb")
    with (
        log,
        subprocess.Popen(
            planned.argv,
            env={**stack.environment, **planned.environment},
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        ) as workers,
    ):
        try:
            until(stack.state.run("worker.ready").exists)
            told = subprocess.run(
                [sys.executable, "-c", RUN, str(tmp_path), str(answer)],
                env={**stack.environment, **prefect.client(stack), "PYTHONPATH": str(tmp_path)},
                capture_output=True,
                text=True,
                timeout=WAIT_SECONDS,
                check=False,
            )
        finally:
            workers.terminate()
            workers.wait(60)
    assert told.stdout.strip() == "COMPLETED", told.stderr + Path(log.name).read_text()
    seen = json.loads(answer.read_text())
    assert seen["argv"] == ["-m", "flows.forked"]
    assert seen["names"] == sorted(
        [
            "PREFECT_SERVER_EPHEMERAL_ENABLED",
            "X1_ACTIVATION_TOKEN_FILE",
            "X1_BUILDS_DIR",
            "X1_FORK_SERVER",
            "X1_PREVIEW_HOST_SOCKET",
            "X1_RELAY_URL",
            "X1_SESSIONS_DIR",
        ]
    )
    until(lambda: is_gone(seen["pid"]))
    assert workers.returncode == 0


def test_an_agents_schedule_becomes_runs_that_say_they_are_heartbeats(stack):
    told = subprocess.run(
        [sys.executable, "-c", SCHEDULE],
        env={**stack.environment, **prefect.client(stack)},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert told.stdout.strip() == ("Scheduled {'agent': 'ticker', 'trigger': 'scheduler'}"), (
        told.stderr
    )


def test_prefect_answers_nobody_without_the_password(stack):
    code = (
        "import httpx, sys\n"
        "client = httpx.Client(base_url=sys.argv[1], trust_env=False, timeout=15)\n"
        "print(client.get('/api/ready').status_code, client.get('/api/version').status_code,"
        " client.get('/ui-settings').json()['api_url'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, stack.urls["prefect"]],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["200", "401", "/api"]


def test_a_killed_prefect_server_is_started_again(stack):
    killed = _component(stack, "prefect")["pid"]
    os.kill(killed, signal.SIGKILL)

    def is_back():
        component = _component(stack, "prefect")
        return component["state"] == "ready" and component["pid"] != killed

    until(is_back)


def _component(stack, name):
    components = json.loads(x1(stack.state, "status", "--json").stdout)["components"]
    return next(item for item in components if item["name"] == name)
