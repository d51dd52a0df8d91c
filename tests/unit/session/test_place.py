"""Where a session flow works: on one machine a locked directory, in a pod what its environment says."""

import asyncio

import pytest
from pydantic import ValidationError

from sidecar.client import control
from sidecar.client.control import ControlClient, SidecarGone
from sidecar.domain.errors import LeaseHeld
from tasks.session.place import taken
from tasks.session.settings import FlowSettings

POD_UID = "0f5d9b0e-6f0e-4a2c-9a53-2f8f0f7f1d11"


@pytest.fixture
def environment(monkeypatch, tmp_path):
    for name in ("X1_SESSIONS_DIR", "X1_POD_UID", "X1_AGENT_WORKSPACE", "X1_AGENT_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("X1_RELAY_URL", "http://relay")
    monkeypatch.setenv("X1_ACTIVATION_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("X1_CONTROL_SOCKET", str(tmp_path / "control.sock"))
    return monkeypatch


@pytest.fixture
def in_a_pod(environment):
    environment.setenv("X1_POD_UID", POD_UID)
    environment.setenv("X1_AGENT_WORKSPACE", "/agent/workspace")
    environment.setenv("X1_AGENT_STATE", "/agent/state")
    return FlowSettings()


def test_in_a_pod_the_paths_are_the_agents_and_nothing_is_made_or_locked(in_a_pod):
    with taken(in_a_pod, "s1") as first, taken(in_a_pod, "s1") as second:
        assert first == second
        assert (str(first.tree), str(first.state)) == ("/agent/workspace", "/agent/state")
        assert not first.tree.exists()


def test_a_pod_claims_under_its_uid_every_time(in_a_pod):
    assert in_a_pod.nonce() == in_a_pod.nonce() == POD_UID


def test_on_one_machine_the_place_is_locked_and_each_process_has_a_nonce(
    environment, tmp_path, monkeypatch
):
    monkeypatch.setattr("tasks.session.workspace._take", refuse)
    environment.setenv("X1_SESSIONS_DIR", str(tmp_path / "sessions"))
    settings = FlowSettings()
    assert settings.nonce() != settings.nonce()
    with pytest.raises(LeaseHeld), taken(settings, "s1"):
        pass
    assert (tmp_path / "sessions" / "s1" / "workspace").is_dir()


def refuse(_):
    raise LeaseHeld("somebody works here")


def test_a_flow_that_is_nowhere_says_what_it_needs(environment):
    environment.setenv("X1_POD_UID", POD_UID)
    with pytest.raises(ValidationError, match=r"X1_SESSIONS_DIR .*X1_AGENT_WORKSPACE"):
        FlowSettings()


async def test_the_flow_waits_for_a_socket_that_comes_late(in_a_pod):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    client = ControlClient(in_a_pod.control_socket)
    entering = asyncio.ensure_future(client.__aenter__())
    async with asyncio.timeout(10):
        while not client.obstacle:
            await asyncio.sleep(0)
        async with await asyncio.start_unix_server(answer, in_a_pod.control_socket):
            await entering
            await client.__aexit__()


async def test_a_sidecar_that_never_comes_is_named_with_its_socket(in_a_pod, monkeypatch):
    monkeypatch.setattr(ControlClient._listening.retry, "stop", lambda _: True)
    with pytest.raises(SidecarGone, match=r"control\.sock within .*ConnectError"):
        async with ControlClient(in_a_pod.control_socket):
            pass
    assert control.LISTEN_PATIENCE_SECONDS <= 60
