"""The pod as a real process: how fast it listens, and that nothing outlives its flow."""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
from bridges import bridge_at
from pids import is_gone
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from sidecar.client.control import ControlClient
from sidecar.domain.errors import Conflict
from sidecar.pod.listening import bind_loopback, service
from sidecar.wire.control import HandOver
from tasks.session.pod import start_pod

AGENT = Path(__file__).parents[1] / "unit" / "pod" / "fake_agent.py"
pytestmark = pytest.mark.real


async def until(condition, seconds=60.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


class Flow:
    """What a flow is to its sidecar: a lifeline, a socket, a hand-over."""

    def __init__(self, root, relay_url, **environment):
        self.environment = environment
        self.root, self.relay_url = root, relay_url
        self.socket = root / "c.sock"
        self.state = root / "state"

    async def start(self):
        tools = self.root / "bin"
        tools.mkdir()
        goose = tools / "goose"
        goose.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{AGENT}"\n')
        goose.chmod(0o755)
        read_end, self.lifeline = os.pipe()
        environment = {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "X1_RELAY_URL": self.relay_url,
            "X1_CONTROL_SOCKET": str(self.socket),
            "X1_LIFELINE_FD": str(read_end),
            **self.environment,
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar", "pod", env=environment, pass_fds=[read_end]
        )
        os.close(read_end)

    def hang_up(self):
        if self.lifeline is not None:
            os.close(self.lifeline)
            self.lifeline = None

    def hand_over(self):
        bus = {"url": "nats://127.0.0.1:1", "user_jwt": "j", "user_seed": "s", "inbox_prefix": "_I"}
        bundle = {
            "session_id": "s-1",
            "activation_id": "a-1",
            "agent": "tester",
            "kind": "orchestrator",
            "workspace": "default",
            "generation": 1,
            "parent_session_id": None,
            "root_session_id": "s-1",
            "token": "token-of-this-session",
            "token_seconds": 900,
            "bus": bus,
            "attachments": [],
            "runtime": {"name": "goose"},
            "tools": [],
            "spawnable": [],
            "idle_minutes": 10,
            "turns_done": 0,
            "page_url": "http://x",
        }
        return HandOver.model_validate(
            {
                "bundle": bundle,
                "holder": "run/nonce",
                "workspace_dir": str(self.root / "tree"),
                "state_dir": str(self.state),
            }
        )

    async def booted(self):
        async with ControlClient(self.socket) as pod:
            await pod.hand_over(self.hand_over())
            await pod.checkout()
            await pod.boot()
        if "X1_BRIDGE_SOCKET" in self.environment:
            return None
        return json.loads((self.state / "runtime.json").read_text())["pid"]


@pytest.fixture
async def released():
    """The release requests a relay got, and its URL."""
    reasons = []

    async def release(request):
        reasons.append(json.loads(await request.body()))
        return JSONResponse({"status": "pending", "parked": False, "unread": 0})

    async def other(request):
        if request.url.path.endswith("/wakes"):
            return JSONResponse({"wakes": []})
        if request.url.path.endswith("/state"):
            return JSONResponse({"cap_bytes": 1 << 20, "snapshot": None})
        return JSONResponse({"error": {"code": "relay_unavailable", "message": "busy"}}, 503)

    app = Starlette(
        routes=[
            Route("/internal/sessions/s-1/lease/release", release, methods=["POST"]),
            Route("/{path:path}", other, methods=["GET", "POST", "PUT"]),
        ]
    )
    listener = bind_loopback(0)
    server = service(app)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve(sockets=[listener]))
        yield reasons, f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving


@asynccontextmanager
async def flow_of(root, released, **environment):
    flow = Flow(root, released[1], **environment)
    await flow.start()
    try:
        yield flow
    finally:
        flow.hang_up()
        if flow.process.returncode is None:
            await asyncio.wait_for(flow.process.wait(), 60)


async def test_a_flow_that_dies_takes_sidecar_runtime_and_socket_with_it(tmp_path, released):
    async with flow_of(tmp_path, released) as flow:
        runtime = await flow.booted()
        flow.hang_up()
        assert await asyncio.wait_for(flow.process.wait(), 60) == 0
        await until(lambda: is_gone(runtime))
    assert not flow.socket.exists()
    assert [each["how"] for each in released[0]] == ["stop"]


async def test_a_terminated_sidecar_ends_its_runtime(tmp_path, released):
    async with flow_of(tmp_path, released) as flow:
        runtime = await flow.booted()
        flow.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(flow.process.wait(), 60) == 0
        await until(lambda: is_gone(runtime))


async def test_a_killed_sidecar_leaves_no_runtime_that_waits_for_it(tmp_path, released):
    async with flow_of(tmp_path, released) as flow:
        runtime = await flow.booted()
        flow.process.kill()
        await flow.process.wait()
        await until(lambda: is_gone(runtime))


async def test_a_killed_runtime_is_started_again_with_its_conversation(tmp_path, released):
    async with flow_of(tmp_path, released) as flow:
        runtime = await flow.booted()
        os.kill(runtime, signal.SIGKILL)
        record = flow.state / "runtime.json"

        def is_another():
            """It is removed with the one and written with the other."""
            with suppress(FileNotFoundError):
                return json.loads(record.read_text())["pid"] != runtime
            return False

        await until(is_another)
        async with ControlClient(flow.socket) as pod:
            assert (await pod.boot()).resumed


async def test_a_sidecar_carries_its_stacks_mark_and_no_secret(monkeypatch):
    monkeypatch.setenv("X1_STACK_ID", "this-stack")
    monkeypatch.setenv("X1_RELAY_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("X1_ACTIVATION_TOKEN_FILE", "/not-for-it")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "not-for-it")
    pod = start_pod()
    sidecar = psutil.Process(pod.process.pid)
    await until(sidecar.environ)  # the kernel shows it a moment after the program has begun
    seen = sidecar.environ()
    pod.close()
    assert seen["X1_STACK_ID"] == "this-stack"
    assert not any("not-for-it" in value for value in seen.values())


async def test_a_second_session_is_refused(tmp_path, released):
    async with flow_of(tmp_path, released) as flow, ControlClient(flow.socket) as pod:
        first = flow.hand_over()
        await pod.hand_over(first)
        bundle = first.bundle.model_copy(update={"activation_id": "a-2"})
        with pytest.raises(Exception, match="has its session") as refused:
            await pod.hand_over(first.model_copy(update={"bundle": bundle}))
        assert not isinstance(refused.value, Conflict) or refused.value.code
        await pod.stop("over")


async def test_a_sidecar_stays_small_and_never_loads_prefect(tmp_path, released):
    async with flow_of(tmp_path, released) as flow:
        await flow.booted()
        sidecar = psutil.Process(flow.process.pid)
        assert sidecar.memory_info().rss < 120 * 1024 * 1024
        if sys.platform == "linux":
            assert not any("/prefect/" in each.path for each in sidecar.memory_maps())


@asynccontextmanager
async def bridged_flow_of(root, released):
    """As in a pod: the agent's zone behind a bridge, the sidecar's own state apart, a canary to be refused."""
    (root / "bin").mkdir()
    path = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
    with socket.socket() as nobody:  # bound, so that it stays ours, and deaf
        nobody.bind(("127.0.0.1", 0))
        canary = nobody.getsockname()[1]
        async with bridge_at(root / "b.sock", PATH=path) as bridge:
            (root / "bin").rmdir()
            async with flow_of(
                root,
                released,
                X1_BRIDGE_SOCKET=str(root / "b.sock"),
                X1_STATE_DIR=str(root / "own"),
                X1_CANARY_ADDRESS=f"127.0.0.1:{canary}",
                X1_CONTROL_SOCKET_MODE="0660",
            ) as flow:
                yield flow, bridge


async def test_a_killed_sidecars_runtime_is_ended_by_the_bridge_and_the_next_one_starts_it_again(
    tmp_path, released
):
    async with bridged_flow_of(tmp_path, released) as (flow, bridge):
        await flow.booted()
        assert flow.socket.stat().st_mode & 0o777 == 0o660
        agent = psutil.Process(bridge.pid)
        (runtime,) = agent.children()
        flow.process.kill()
        await flow.process.wait()
        await until(lambda: is_gone(runtime.pid))
        flow.hang_up()
        (tmp_path / "bin" / "goose").unlink()
        (tmp_path / "bin").rmdir()
        await flow.start()
        await flow.booted()
        (again,) = agent.children()
        assert again.pid != runtime.pid
        flow.hang_up()
        assert await asyncio.wait_for(flow.process.wait(), 60) == 0
        await until(lambda: agent.children() == [])
