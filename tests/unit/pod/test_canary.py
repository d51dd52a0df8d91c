"""The canary: nothing of the agent's runs before its address is refused."""

import asyncio
import socket

import pytest

from sidecar.domain.errors import Refused
from sidecar.pod.bridged import BridgedHands
from sidecar.pod.canary import Canary, PolicyNotInForce
from sidecar.settings import PodSettings


async def answering(_, writer):
    writer.close()


@pytest.fixture
async def relay():
    """The control's URL: it answers."""
    async with await asyncio.start_server(answering, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_refused_address_opens_the_gate(relay):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        canary = Canary(f"127.0.0.1:{deaf.getsockname()[1]}", relay)
        await asyncio.wait_for(canary.watch(), 10)
    await canary.refused()


async def test_an_address_that_is_refused_after_a_while_is_waited_for(relay):
    server = await asyncio.start_server(answering, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    canary = Canary(f"127.0.0.1:{port}", relay)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(canary.watch())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(canary.refused(), 0.5)
        server.close()
        await asyncio.wait_for(canary.refused(), 10)


async def test_an_address_that_answers_all_the_time_fails_the_boot_and_says_why(tmp_path, relay):
    server = await asyncio.start_server(answering, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    canary = Canary(f"127.0.0.1:{port}", relay, patience_seconds=0.4)
    hands = BridgedHands(tmp_path / "b.sock", log_dir=tmp_path, gate=canary.refused)
    async with server:
        await canary.watch()
    with pytest.raises(PolicyNotInForce, match=f"127.0.0.1:{port} can still be reached"):
        await hands.start(["agent"], cwd=tmp_path, env={})
    with pytest.raises(Refused):
        await hands.run(["git", "clone"], cwd=tmp_path, env={}, timeout=5)


async def test_a_refusal_counts_once_the_relay_is_reached():
    """A pod without a network is refused everything; it is waited for longer than an open address is."""
    with socket.socket() as deaf, socket.socket() as away:
        deaf.bind(("127.0.0.1", 0))
        away.bind(("127.0.0.1", 0))
        address, control = (f"127.0.0.1:{each.getsockname()[1]}" for each in (deaf, away))
        canary = Canary(address, f"http://{control}", patience_seconds=0.3)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(canary.watch())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await canary.refused()
            away.listen()
            async with asyncio.timeout(10):
                await canary.refused()


async def test_a_name_that_is_not_resolved_proves_nothing(relay):
    canary = Canary("no-such-host.invalid:1", relay, patience_seconds=0.5)
    await canary.watch()
    with pytest.raises(PolicyNotInForce):
        await canary.refused()


def test_a_bridge_without_a_place_of_the_sidecars_own_is_no_setting(tmp_path):
    common = {"relay_url": "http://relay", "control_socket": tmp_path / "c.sock"}
    with pytest.raises(ValueError, match="X1_STATE_DIR"):
        PodSettings(**common, bridge_socket=tmp_path / "b.sock")
    with pytest.raises(ValueError, match="canary_address"):
        PodSettings(**common, canary_address="no port")
