"""Three NATS servers with the configuration of the overlay for teams: streams live on all three of them.

Only addresses and directories are replaced: the overlay's are names of pods.
"""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import yaml
from nats.errors import Error as NatsError

from infra.cluster import secrets
from infra.cluster.rendering import MANIFESTS
from infra.cluster.rotation import bus as rotation
from sidecar.artifacts.jetstream import JetStreamArtifacts
from sidecar.bus.nats import NatsBus, login_of_file
from sidecar.domain.errors import Unavailable
from sidecar.domain.ids import SessionId
from sidecar.wire import subjects

SESSION = SessionId("0190-one")
CONFIG = MANIFESTS / "overlays" / "production" / "nats-config.yaml"

pytestmark = pytest.mark.real


def free_ports(count):
    """All are held until the last is found: none comes twice."""
    with ExitStack() as held:
        found = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in found]


class Three:
    def __init__(self, place):
        self.place = place
        ports = free_ports(9)
        self.clients, self.peers, self.monitors = ports[:3], ports[3:6], ports[6:]
        (place / "nats-keys").mkdir()
        self.whole = {}
        self.put(secrets.completed({}))
        self.servers = [self.start(number) for number in range(3)]

    def put(self, changes):
        """As the cluster's Secrets: what pods mount changes with them."""
        merged = {**self.whole, **changes}
        self.whole = {name: value for name, value in merged.items() if value is not None}
        (self.place / "relay.creds").write_text(self.whole["bus-creds"])
        (part,) = [each for each in secrets.parts(self.whole) if each.name == "x1-nats"]
        (self.place / "nats-keys" / "keys.conf").write_text(part.content["keys.conf"])

    def restart(self, *names):
        """As a StatefulSet does it: from the last to the first, each ready before the next."""
        for number in reversed(range(3)) if "nats" in names else ():
            self.servers[number].send_signal(signal.SIGTERM)
            self.servers[number].wait(60)
            self.servers[number] = self.start(number)
            self.await_ready(number)

    def await_ready(self, number):
        url, said = f"http://127.0.0.1:{self.monitors[number]}/healthz", "nothing"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                answer = httpx.get(url, trust_env=False, timeout=5)
                if answer.is_success:
                    return
                said = answer.text
            except httpx.TransportError as error:
                said = str(error)
            time.sleep(0.2)
        raise AssertionError(f"server {number} is not ready: {said}")

    def start(self, number):
        home = self.place / f"nats-{number}"
        home.mkdir(exist_ok=True)
        text = yaml.safe_load(CONFIG.read_text())["data"]["nats.conf"]
        for pattern, value in [
            (r"port: 4222", f"port: {self.clients[number]}"),
            (r"http: \S+", f"http: 127.0.0.1:{self.monitors[number]}"),
            (r"store_dir: [^,\s]+", f"store_dir: {home}"),
            (r"listen: \S+", f"listen: 127.0.0.1:{self.peers[number]}"),
            (r"nats-(\d)\.\S+:6222", lambda found: f"127.0.0.1:{self.peers[int(found[1])]}"),
        ]:
            text, count = re.subn(pattern, value, text)
            assert count, pattern
        (home / "nats.conf").write_text(text)
        binary = Path(sys.executable).parent / "nats-server"
        return subprocess.Popen(
            [binary, "-c", home / "nats.conf", "--name", f"nats-{number}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def bus(self):
        """At one server that lives; a cluster's clients come by a Service, which knows who does."""
        url = f"nats://127.0.0.1:{self.clients[1]}"
        return NatsBus(lambda: login_of_file(url, self.place / "relay.creds"), replicas=3)

    def stop(self):
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
        for server in self.servers:
            server.wait(60)


@pytest.fixture
def three(tmp_path):
    made = Three(tmp_path)
    yield made
    made.stop()


async def eventually(attempt):
    """What `attempt` returns, once the servers agree on who leads."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await attempt()
            except (Unavailable, NatsError):
                await asyncio.sleep(0.2)


async def info_of(bus, stream):
    async def asked():
        return await (await bus.jetstream()).stream_info(stream)

    return await eventually(asked)


async def replicas(bus, stream):
    return (await info_of(bus, stream)).config.num_replicas


async def chunks(text):
    yield text


async def test_events_and_artifacts_live_on_all_three_and_outlive_one(three):
    bus = three.bus()
    artifacts = JetStreamArtifacts(bus.jetstream, max_bytes=1 << 26, replicas=3)

    async def opened():
        async with bus.deliveries():
            return

    await eventually(opened)
    await eventually(lambda: bus.publish_events(SESSION, b"one", "1"))
    stored = await eventually(lambda: artifacts.put(chunks(b"a state"), 1 << 20))
    assert await replicas(bus, subjects.EVENTS_STREAM) == 3
    assert await replicas(bus, "OBJ_x1-artifacts") == 3

    three.servers[0].kill()
    three.servers[0].wait(20)

    async def read():
        return b"".join([piece async for piece in artifacts.get(stored.digest)])

    assert await eventually(read) == b"a state"
    await eventually(lambda: bus.publish_events(SESSION, b"two", "2"))
    await bus.aclose()


async def test_a_stream_of_one_copy_becomes_one_of_three(three):
    one = NatsBus(three.bus()._login, replicas=1)

    async def opened_by(bus):
        async with bus.deliveries():
            return

    await eventually(lambda: opened_by(one))
    grown = three.bus()
    await eventually(lambda: opened_by(grown))
    assert await replicas(grown, subjects.EVENTS_STREAM) == 3
    await one.aclose()
    await grown.aclose()


async def test_the_keys_are_replaced_server_by_server_and_the_streams_stay(three):
    before = three.bus()

    async def opened_by(bus):
        async with bus.deliveries():
            return

    await eventually(lambda: opened_by(before))
    await eventually(lambda: before.publish_events(SESSION, b"one", "1"))
    await before.aclose()
    await asyncio.to_thread(rotation.rotate, three)

    after = three.bus()
    await eventually(lambda: opened_by(after))
    await eventually(lambda: after.publish_events(SESSION, b"two", "2"))
    info = await info_of(after, subjects.EVENTS_STREAM)
    assert (info.state.messages, info.config.num_replicas) == (2, 3)
    await after.aclose()
