"""The bridge as a process: whom it hears, what it survives, and that nothing runs without a sidecar."""

import asyncio
import json
import os
import signal
import socket
import struct
import sys
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
from bridges import bridge_at
from pids import is_gone

from sidecar.bridge.peers import is_welcome, uid_of
from sidecar.pod.bridged import BridgedHands
from sidecar.pod.hands import ZoneAway, ZoneFailed
from sidecar.wire import frames
from sidecar.wire.frames import MAX_BODY_BYTES, BrokenFrame, Window, encode

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
PATIENCE_SECONDS = 30.0
"""For what a program does on a busy machine, its start included."""


@pytest.fixture
async def bridge(tmp_path):
    async with bridge_at(tmp_path / "b.sock") as process:
        yield process


@pytest.fixture
def hands(tmp_path):
    return BridgedHands(tmp_path / "b.sock", log_dir=tmp_path, patience_seconds=1)


@asynccontextmanager
async def connected(folder):
    reader, writer = await asyncio.open_unix_connection(folder / "b.sock")
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def living(hands, folder, code=SLEEPER):
    live = await hands.start([sys.executable, "-uc", code], cwd=folder, env={})
    async with asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(live.drain())
        assert await live.reader.read(2) == b"up"
        yield live
        await live.end()
        await asyncio.wait({draining}, timeout=5)


async def until(condition):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_its_socket_is_for_its_user_and_group_alone(bridge, tmp_path):
    assert (tmp_path / "b.sock").stat().st_mode & 0o777 == 0o660


async def test_a_socket_left_behind_is_replaced(bridge, tmp_path):
    bridge.kill()
    await bridge.wait()
    patient = BridgedHands(tmp_path / "b.sock", log_dir=tmp_path)
    async with bridge_at(tmp_path / "b.sock"):
        assert await patient.exists(tmp_path)


async def test_it_loads_next_to_nothing():
    code = "import sys, sidecar.bridge.main; print(*sys.modules)"
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await done.communicate()
    loaded = {each.partition(".")[0] for each in out.decode().split()}
    assert loaded.isdisjoint({"pydantic", "httpx", "mcp", "structlog", "starlette", "nats"})


async def test_sigterm_ends_it_and_its_runtime_politely(bridge, hands, tmp_path):
    code = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
print('up')
while True: time.sleep(0.05)
"""
    async with living(hands, tmp_path, code) as live:
        bridge.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(bridge.wait(), PATIENCE_SECONDS) == 0
        await asyncio.wait_for(live.wait(), PATIENCE_SECONDS)
        assert live.how_it_ended == "exit code 4"
    assert not (tmp_path / "b.sock").exists()


async def test_sigterm_kills_a_runtime_that_does_not_listen(bridge, hands, tmp_path):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(600)"
    async with living(hands, tmp_path, code) as live:
        bridge.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(bridge.wait(), PATIENCE_SECONDS) == 0
        assert is_gone(live.pid)


async def test_a_sidecar_that_is_gone_takes_its_runtime_with_it(bridge, tmp_path):
    async with connected(tmp_path) as (reader, writer):
        asked = {"op": "start", "argv": ["sleep", "600"], "cwd": str(tmp_path), "env": {}}
        writer.write(encode(asked))
        pid = int((await frames.read(reader)).header["pid"])
    await until(lambda: is_gone(pid))


async def test_a_new_sidecar_waits_for_the_last_ones_runtime_to_be_gone(bridge, hands, tmp_path):
    async with connected(tmp_path) as (reader, writer):
        asked = {"op": "start", "argv": ["sleep", "600"], "cwd": str(tmp_path), "env": {}}
        writer.write(encode(asked))
        first = int((await frames.read(reader)).header["pid"])
    async with living(hands, tmp_path):
        assert is_gone(first)


async def test_a_killed_bridge_is_the_runtimes_end_and_the_next_one_serves(bridge, hands, tmp_path):
    async with living(hands, tmp_path, "print('up'); input()") as live:
        bridge.kill()
        await asyncio.wait_for(live.wait(), PATIENCE_SECONDS)
        assert "bridge" in live.how_it_ended
        await asyncio.wait_for(live.end(), PATIENCE_SECONDS)
    with pytest.raises(ZoneAway):
        await hands.exists(tmp_path)
    async with bridge_at(tmp_path / "b.sock"):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with suppress(ZoneAway):
                    assert await hands.exists(tmp_path)
                    break
        async with living(hands, tmp_path) as live:
            assert not is_gone(live.pid)


async def test_an_orphan_nobody_waits_for_is_no_zombie(bridge, hands, tmp_path):
    code = "import os; pid = os.fork(); pid or os._exit(0); print(pid)"
    shell = f"{sys.executable} -c 'import os; os.fork() or os._exit(0)' & echo $!"
    await hands.run(["sh", "-c", shell], cwd=tmp_path, env={}, timeout=PATIENCE_SECONDS)
    await hands.run([sys.executable, "-c", code], cwd=tmp_path, env={}, timeout=PATIENCE_SECONDS)
    family = psutil.Process(bridge.pid)
    await until(lambda: not any(is_gone(each.pid) for each in family.children(recursive=True)))


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">II", 2**31, 0),
        struct.pack(">II", 2, MAX_BODY_BYTES + 1) + b"{}",
        struct.pack(">II", 2, 0) + b"no",
        struct.pack(">II", 2, 0) + b"[]",
        struct.pack(">II", 200_000, 0) + b"[" * 200_000,
        encode({"op": "unheard-of"}),
        encode({"op": "put", "path": 3, "mode": 1}),
        encode({"op": "run", "argv": "ls", "cwd": "/tmp", "env": {}, "timeout": 1}),
        encode({"op": "run", "argv": ["ls"], "cwd": "/tmp", "env": {"A": 1}, "timeout": 1}),
        encode({"op": "run", "argv": ["ls"], "cwd": "/tmp", "env": {}, "timeout": 1e99}),
        encode({"op": "exists", "path": "/tmp"})[:9],
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_frame_ends_its_connection_alone(bridge, hands, tmp_path, sent):
    async with connected(tmp_path) as (reader, writer):
        writer.write(sent)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 10) == b""
    assert await hands.exists(tmp_path)


@pytest.mark.parametrize("path", ["relative", "/tmp/../etc", "/", "/tmp/\0x", ""])
async def test_only_plain_absolute_paths_are_touched(bridge, tmp_path, path):
    async with connected(tmp_path) as (reader, writer):
        writer.write(encode({"op": "remove", "path": path}))
        assert "no absolute path" in (await frames.read(reader)).header["error"]


async def test_half_a_frame_waits_and_is_then_understood(bridge, tmp_path):
    whole = encode({"op": "exists", "path": str(tmp_path)})
    async with connected(tmp_path) as (reader, writer):
        for at in range(len(whole)):
            writer.write(whole[at : at + 1])
            await writer.drain()
        assert (await frames.read(reader)).header == {"exists": True}


async def test_too_many_connections_are_refused_and_the_others_served(bridge, hands, tmp_path):
    async with AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(connected(tmp_path)) for _ in range(20)]
        await asyncio.wait({asyncio.ensure_future(idle[-1][0].read())}, timeout=10)
        assert idle[-1][0].at_eof() or idle[-1][0].exception()
    async with asyncio.timeout(10):
        while True:
            with suppress(ZoneAway):
                assert await hands.exists(tmp_path)
                return


async def test_input_beyond_the_window_ends_the_runtime(bridge, tmp_path):
    async with connected(tmp_path) as (reader, writer):
        asked = {"op": "start", "argv": ["sleep", "600"], "cwd": str(tmp_path), "env": {}}
        writer.write(encode(asked))
        pid = int((await frames.read(reader)).header["pid"])
        writer.write(encode({"op": "in"}, b"x" * MAX_BODY_BYTES))
        await until(lambda: is_gone(pid))


class FakePeer:
    """A socket whose kernel says what the test says."""

    def __init__(self, answer):
        self.answer = answer

    def getsockopt(self, *_):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_peer_is_known_by_what_the_kernel_says_of_it():
    of_sidecar = FakePeer(struct.pack("3i", 7, 10002, 10002))
    assert uid_of(of_sidecar) == 10002
    assert is_welcome(of_sidecar, 10002)
    assert not is_welcome(of_sidecar, 10003)
    assert not is_welcome(FakePeer(OSError()), 10002)
    assert not is_welcome(FakePeer(b"short"), 10002)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert uid_of(ours) == os.getuid()


async def test_a_peer_of_another_user_is_refused_before_it_is_read(tmp_path):
    other = bridge_at(tmp_path / "b.sock", X1_BRIDGE_PEER_UID=str(os.getuid() + 1))
    async with other, connected(tmp_path) as (reader, _):
        assert await asyncio.wait_for(reader.read(), 10) == b""
    async with bridge_at(tmp_path / "b.sock", X1_BRIDGE_PEER_UID=str(os.getuid())):
        assert await BridgedHands(tmp_path / "b.sock", log_dir=tmp_path).exists(tmp_path)


async def test_an_agent_that_connects_to_its_own_bridge_is_refused():
    """As root, the agent really is another user; else the bridge expects one."""
    is_root = os.getuid() == 0
    code = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(9))"
    change = ["setpriv", "--reuid=10003", "--clear-groups"] if is_root else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        async with bridge_at(folder / "b.sock", X1_BRIDGE_PEER_UID="0"):
            (folder / "b.sock").chmod(0o666)
            agent = await asyncio.create_subprocess_exec(
                *[*change, "/usr/bin/env", "python3", "-c", code, str(folder / "b.sock")],
                stdout=asyncio.subprocess.PIPE,
                env={"PATH": "/usr/bin:/bin"},
            )
            out, _ = await asyncio.wait_for(agent.communicate(), PATIENCE_SECONDS)
            assert out == b"b''\n"
            if is_root:
                assert await BridgedHands(folder / "b.sock", log_dir=folder).exists(folder)


@asynccontextmanager
async def in_its_place(folder, *answers):
    """A hostile bridge: answers each connection with bytes of the test's choice."""
    served = []

    async def serve(reader, writer):
        served.append(asyncio.current_task())
        with suppress(OSError, BrokenFrame):
            await frames.read(reader)
            for each in answers:
                writer.write(each)
            await writer.drain()
            await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, folder / "b.sock")
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
        if served:  # who lost patience may be gone before it is served
            await asyncio.wait(served, timeout=5)


@pytest.mark.parametrize(
    "answer",
    [
        struct.pack(">II", 2**32 - 1, 2**32 - 1),
        struct.pack(">II", 4, 0) + b"null",
        b"\0" * 5,  # and no more: half a frame
        encode({"code": "0", "out": 0}),
        encode({"code": 0, "out": -1}),
        encode({"code": 0, "out": 2**40}),
        encode({"code": 0}),
    ],
)
async def test_a_hostile_answer_to_a_program_is_a_lost_bridge(hands, tmp_path, answer, monkeypatch):
    monkeypatch.setattr("sidecar.pod.bridged.MARGIN_SECONDS", 0.5)
    async with in_its_place(tmp_path, answer):
        with pytest.raises(ZoneAway):
            await hands.run(["x"], cwd=tmp_path, env={}, timeout=0)


async def test_an_error_text_cannot_carry_escapes_or_a_novel(hands, tmp_path):
    async with in_its_place(tmp_path, encode({"error": "\x1b[2J\n" + "a" * 9999})):
        with pytest.raises(ZoneFailed) as failed:
            await hands.exists(tmp_path)
    assert str(failed.value).isprintable()
    assert len(str(failed.value)) <= 500


@pytest.mark.parametrize(
    "said",
    [
        [encode({"op": "out"}, b"x" * (1 << 20))] * 3,
        [encode({"op": "more", "bytes": 1})],
        [encode({"op": "exit", "code": "0"})],
        [encode({"op": "exit", "code": 10**9})],
        [encode({"op": "boot"})],
        [encode({"op": 7})],
        [b"\0\0"],
    ],
)
async def test_a_runtime_behind_a_hostile_bridge_ends_instead_of_filling_memory(
    hands, tmp_path, said
):
    async with in_its_place(tmp_path, encode({"pid": 1}), *said):
        live = await hands.start(["x"], cwd=tmp_path, env={})
        draining = asyncio.create_task(live.drain())
        if said == [b"\0\0"]:
            live._wire.transport.abort()
        await asyncio.wait_for(live.wait(), 10)
        await asyncio.wait_for(draining, 10)
        assert "bridge" in live.how_it_ended
        await asyncio.wait_for(live.end(), 10)


async def test_a_bridge_that_never_says_gone_does_not_hold_the_end_up(hands, tmp_path, monkeypatch):
    monkeypatch.setattr("sidecar.pod.bridged_runtime.GONE_SECONDS", 0.1)
    async with in_its_place(tmp_path, encode({"pid": 1})):
        live = await hands.start(["x"], cwd=tmp_path, env={})
        draining = asyncio.create_task(live.drain())
        await asyncio.wait_for(live.end(0.1), 10)
        await asyncio.wait_for(draining, 10)


async def test_a_frame_that_would_be_refused_is_not_sent(hands, bridge, tmp_path):
    with pytest.raises(ZoneFailed, match="at most"):
        await hands.put(tmp_path / "x", "a" * (MAX_BODY_BYTES + 1), 0o600)
    with pytest.raises(ZoneFailed, match="at most"):
        await hands.run(["x", "a" * 300_000], cwd=tmp_path, env={}, timeout=1)


async def test_nothing_of_the_agents_runs_before_the_gate_opens(bridge, tmp_path):
    async def closed():
        raise ZoneFailed("not yet")

    hands = BridgedHands(tmp_path / "b.sock", log_dir=tmp_path, gate=closed)
    with pytest.raises(ZoneFailed, match="not yet"):
        await hands.run(["touch", "ran"], cwd=tmp_path, env={}, timeout=5)
    with pytest.raises(ZoneFailed, match="not yet"):
        await hands.start(["touch", "ran"], cwd=tmp_path, env={})
    assert not (tmp_path / "ran").exists()


async def test_a_window_gives_no_more_than_it_has_and_wakes_who_waits():
    window = Window(10)
    assert await window.take(99) == 10
    waiting = asyncio.create_task(window.take(5))
    await asyncio.sleep(0)
    window.give(3)
    assert await waiting == 3
    with pytest.raises(BrokenFrame):
        window.give(11)
    window.close()
    with pytest.raises(ConnectionResetError):
        await window.take(1)


def test_a_frame_says_what_it_holds():
    assert json.loads(encode({"op": "x"}, b"body")[8:-4]) == {"op": "x"}
