"""Prefect over REST: one run a key, hung under its caller's run, every outage one error."""

import json
from uuid import uuid4

import httpx
import pytest

from sidecar.domain.errors import AgentUnknown, PrefectUnavailable
from sidecar.relay.prefect import RunPhase
from sidecar.relay.prefect_rest import PrefectRest

RUN = str(uuid4())


class Server:
    """Answers as Prefect's API does, and remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.deployments = {"session/boss": "d1"}
        self.state = {"type": "RUNNING", "name": "Running"}

    def __call__(self, request):
        body = json.loads(request.content) if request.content else None
        path = request.url.path.removeprefix("/api/")
        self.asked.append((path, body))
        if path.startswith("deployments/name/"):
            found = self.deployments.get(path.removeprefix("deployments/name/"))
            return httpx.Response(200, json={"id": found}) if found else httpx.Response(404)
        if path.endswith("create_flow_run"):
            known = path.split("/")[1] in self.deployments.values()
            return httpx.Response(201 if known else 404, json={"id": RUN})
        if path == "task_runs/":
            return httpx.Response(201, json={"id": "link"})
        if path == "flow_runs/filter":
            ids = body["flow_runs"]["id"]["any_"]
            rows = [{"id": each, "state": self.state} for each in ids if each == RUN]
            return httpx.Response(200, json=rows)
        return httpx.Response(201, json={"status": "ACCEPT"})

    def bodies(self, path):
        return [body for asked, body in self.asked if asked.endswith(path)]


@pytest.fixture
async def server():
    return Server()


@pytest.fixture
async def prefect(server, tmp_path):
    auth = tmp_path / "auth"
    auth.write_text("user:word")
    client = PrefectRest("http://prefect/api", auth, transport=httpx.MockTransport(server))
    yield client
    await client.aclose()


def start(prefect, **fields):
    return prefect.start(
        deployment=fields.pop("deployment", "session/boss"),
        parameters={"session_id": "s"},
        name="boss-1",
        idempotency_key="key",
        **fields,
    )


async def test_a_run_hangs_under_its_callers_run(prefect, server):
    assert await start(prefect, parent=RUN, label="worker") == RUN
    [link] = server.bodies("task_runs/")
    assert (link["flow_run_id"], link["dynamic_key"], link["name"]) == (RUN, "key", "worker")
    [order] = server.bodies("create_flow_run")
    assert (order["parent_task_run_id"], order["idempotency_key"]) == ("link", "key")
    assert order["parameters"] == {"session_id": "s"}


async def test_a_deployment_registered_anew_is_found_again(prefect, server):
    await start(prefect)
    server.deployments["session/boss"] = "d2"
    assert await start(prefect) == RUN


async def test_an_agent_that_was_never_applied_is_unknown(prefect):
    with pytest.raises(AgentUnknown, match="x1 agents apply"):
        await start(prefect, deployment="session/nobody")


async def test_states_are_folded_and_strangers_are_missing(prefect):
    states = await prefect.states([RUN, str(uuid4()), "not a uuid"])
    assert [state.phase for state in states.values()] == [
        RunPhase.RUNNING,
        RunPhase.MISSING,
        RunPhase.MISSING,
    ]


async def test_a_run_that_prefect_cancelled_along_with_its_parent_is_told_apart(prefect, server):
    server.state = {
        "type": "CANCELLING",
        "name": "Cancelling",
        "message": "The parent flow run was cancelled.",
    }
    assert (await prefect.states([RUN]))[RUN].by_parent


async def test_a_final_run_is_neither_cancelled_nor_abandoned(prefect, server):
    server.state = {"type": "COMPLETED", "name": "Completed"}
    await prefect.cancel(RUN)
    await prefect.abandon(RUN, "lost")
    assert not server.bodies("set_state")


async def test_an_abandoned_run_is_crashed_so_that_its_children_live_on(prefect, server):
    await prefect.abandon(RUN, "lost")
    [body] = server.bodies("set_state")
    assert (body["state"]["type"], body["force"]) == ("CRASHED", True)


async def test_an_absent_prefect_is_one_error(tmp_path):
    auth = tmp_path / "auth"
    auth.write_text("user:word")

    def refuse(request):
        raise httpx.ConnectError("refused")

    prefect = PrefectRest("http://p/api", auth, transport=httpx.MockTransport(refuse))
    for verb in (prefect.ping(), prefect.states([RUN]), start(prefect)):
        with pytest.raises(PrefectUnavailable):
            await verb
    await prefect.aclose()
