"""State that outlives pods: real bridges, real sidecars in them, one relay; each activation in a new place.

One file: all of it is about the same life, and half of it is the ground that plays one.
"""

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from bridges import bridge_at

from sidecar.artifacts.jetstream import JetStreamArtifacts
from sidecar.bus.nats import NatsBus, login_of_file
from sidecar.client.relay import RelayClient
from sidecar.domain.agent import AgentKind
from sidecar.domain.errors import ArtifactTooLarge
from sidecar.pod import assembly
from sidecar.pod.acp.profile import Profile
from sidecar.pod.hands import ZoneAway
from sidecar.pod.listening import bind_loopback, service
from sidecar.pod.receipts import Receipts
from sidecar.relay.app import create_app
from sidecar.relay.claiming import claim
from sidecar.settings import PodSettings
from sidecar.wire.claim import ClaimRequest
from sidecar.wire.control import HandOver
from sidecar.wire.envelope import decode

pytestmark = pytest.mark.real
AGENT = Path(__file__).parents[1] / "pod" / "fake_agent.py"
PROFILE = Profile(argv=[sys.executable, str(AGENT)], files={".fake/config": "key = {virtual_key}"})


class Cluster:
    """A relay that listens, and as many pods as a test starts."""

    def __init__(self, desk, services, url, folder):
        self.desk, self.services, self.url, self.folder = desk, services, url, folder
        self.pods = 0

    @asynccontextmanager
    async def pod(self, held):
        self.pods += 1
        pod = Pod(self, held, self.folder / f"pod-{self.pods}")
        async with bridge_at(pod.socket), pod.assembled():
            yield pod

    async def snapshot(self, session_id):
        async with self.services.store.transaction() as tx:
            return await tx.snapshots.of_session(session_id)

    async def errors(self):
        async with self.desk.bus.deliveries() as deliveries:
            sent = deliveries._unread()
        events = [event for each in sent for event in decode(each.body)]
        return [event.payload for event in events if event.type == "agent.error"]


class Pod:
    def __init__(self, cluster, held, folder):
        self.cluster, self.held, self.folder = cluster, held, folder
        self.workspace, self.state = folder / "agent" / "workspace", folder / "agent" / "state"
        self.socket = folder / "b.sock"
        folder.mkdir()

    @asynccontextmanager
    async def assembled(self):
        settings = PodSettings(
            relay_url=self.cluster.url,
            control_socket=self.folder / "c.sock",
            bridge_socket=self.socket,
            state_dir=self.folder / "own",
        )
        hand_over = HandOver(
            bundle=self.held.bundle,
            holder=self.held.holder,
            workspace_dir=str(self.workspace),
            state_dir=str(self.state),
        )

        async def connect(_):
            return self.cluster.desk.bus

        async with assembly.assembled(
            settings, hand_over, connect=connect, load=lambda _: PROFILE
        ) as self.activation:
            yield

    async def boot(self):
        await self.activation.check_out()
        return await self.activation.boot()

    async def turn_ends(self, number):
        async with asyncio.timeout(20):
            while (report := await self.activation.story.turn(number, 1)) is None or (
                report.state != "ended"
            ):
                await asyncio.sleep(0.01)
        return report

    def commit(self):
        """What an agent leaves that nobody else has."""
        tree = self.workspace / "app"
        tree.mkdir()
        git(tree, "init", "-q", "-b", "main")
        (tree / ".gitignore").write_text("dist/\n")
        (tree / "code.py").write_text("committed")
        git(tree, "add", ".")
        git(tree, "commit", "-qm", "unpushed")
        (tree / "draft.py").write_text("untracked")
        (tree / "code.py").write_text("changed since")
        (tree / "dist").mkdir()
        (tree / "dist" / "built").write_text("ignored")
        return git(tree, "rev-parse", "HEAD")


def git(tree, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *who, *words], cwd=tree, check=True, capture_output=True)
    return done.stdout.decode().strip()


def files_below(folder):
    return {
        str(each.relative_to(folder)): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file() and "dist" not in each.parts
    }


async def until(condition):
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(services):
    @asynccontextmanager
    async def build():
        yield services

    listener = bind_loopback(0)
    server = service(create_app(build))
    server.config.lifespan = "on"
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
async def cluster(desk, tmp_path):
    await desk.agent("solo", AgentKind.ORCHESTRATOR)
    async with listening(desk.services) as url:
        yield Cluster(desk, desk.services, url, tmp_path)


@pytest.fixture
async def cluster_on_jetstream(desk, tmp_path, nats_server):
    await desk.agent("solo", AgentKind.ORCHESTRATOR)
    bus = NatsBus(lambda: login_of_file(nats_server.url, nats_server.keys / "relay.creds"))
    artifacts = JetStreamArtifacts(bus.jetstream, max_bytes=1 << 28)
    services = replace(desk.services, artifacts=artifacts)
    async with listening(services) as url:
        yield Cluster(desk, services, url, tmp_path)
    await bus.aclose()


async def outlives(cluster):
    desk = cluster.desk
    held = await desk.start("solo", text="do: say hello")
    async with cluster.pod(held) as first:
        await first.activation.check_out()
        head = first.commit()
        await first.activation.boot()
        await first.turn_ends(1)
        saved = await cluster.snapshot(held.session_id)
        assert (saved.turn, saved.kind, saved.generation) == (1, "turn", 1)
        assert (await first.activation.park()).parked
        before = files_below(first.workspace), (first.state / "home/fake-agent.jsonl").read_bytes()
    await desk.say(held.session_id, "do: say again")
    async with cluster.pod(await desk.activate(held.session_id)) as second:
        await second.activation.check_out()
        after = files_below(second.workspace), (second.state / "home/fake-agent.jsonl").read_bytes()
        assert after == before
        tree = second.workspace / "app"
        assert git(tree, "rev-parse", "HEAD") == head
        assert git(tree, "status", "--short") == "M code.py\n?? draft.py"
        assert not (tree / "dist").exists()
        assert (await second.activation.boot()).resumed
        await second.turn_ends(2)
        assert (await cluster.snapshot(held.session_id)).generation == 2


async def test_commits_drafts_and_the_conversation_are_found_in_the_next_pod(cluster):
    await outlives(cluster)


@pytest.mark.real
async def test_they_are_found_through_jetstream_too(cluster_on_jetstream):
    await outlives(cluster_on_jetstream)


async def test_no_capability_of_a_pod_is_in_what_it_leaves(cluster):
    held = await cluster.desk.start("solo", text="do: say hello")
    async with cluster.pod(held) as pod:
        await pod.boot()
        await pod.turn_ends(1)
        saved = await cluster.snapshot(held.session_id)
        content = b"".join([each async for each in cluster.services.artifacts.get(saved.digest)])
        headers = pod.activation.mcp_entry["headers"]
        bearer = headers[0]["value"].removeprefix("Bearer ")
        assert bearer in (pod.state / "home/.fake/config").read_text()
        for secret in (bearer, pod.activation._zone.capability):
            assert secret.encode() not in content


async def test_what_did_not_change_is_not_sent_again_before_parking(cluster, monkeypatch):
    sent = []
    put = cluster.services.artifacts.put

    async def counted(stream, cap_bytes):
        sent.append(1)
        return await put(stream, cap_bytes)

    monkeypatch.setattr(cluster.services.artifacts, "put", counted)
    held = await cluster.desk.start("solo", text="do: say hello")
    async with cluster.pod(held) as pod:
        await pod.boot()
        await pod.turn_ends(1)
        (pod.workspace / "since").write_text("x")
        await pod.activation.park()
        assert len(sent) == 2
    await cluster.desk.say(held.session_id, "do: say again")
    async with cluster.pod(await cluster.desk.activate(held.session_id)) as pod:
        await pod.boot()
        await pod.turn_ends(2)
        await pod.activation.park()
        assert len(sent) == 3
        assert (await cluster.snapshot(held.session_id)).kind == "park"


async def test_a_turn_ends_well_while_nothing_can_be_saved_and_the_next_one_saves(cluster):
    cluster.services.artifacts.is_away = True
    held = await cluster.desk.start("solo", text="do: say hello")
    async with cluster.pod(held) as pod:
        await pod.boot()
        assert (await pod.turn_ends(1)).stop_reason == "end_turn"
        await until(lambda: all_done(cluster, held))
        assert await cluster.snapshot(held.session_id) is None
        await until(lambda: told(cluster, "state_not_saved", "artifact store does not answer"))
        cluster.services.artifacts.is_away = False
        await cluster.desk.say(held.session_id, "do: say again")
        await pod.turn_ends(2)
        assert (await cluster.snapshot(held.session_id)).turn == 2


async def test_parking_waits_a_while_for_a_store_that_is_away(cluster, monkeypatch):
    asked, put = [], cluster.services.artifacts.put

    async def counted(stream, cap_bytes):
        asked.append(1)
        return await put(stream, cap_bytes)

    async def asked_often():
        return len(asked) > 3

    monkeypatch.setattr(cluster.services.artifacts, "put", counted)
    held = await cluster.desk.start("solo", text="do: say hello")
    async with cluster.pod(held) as pod:
        await pod.boot()
        await pod.turn_ends(1)
        (pod.workspace / "since").write_text("x")
        cluster.services.artifacts.is_away = True
        parking = asyncio.create_task(pod.activation.park())
        await until(asked_often)
        assert not parking.done()
        cluster.services.artifacts.is_away = False
        assert (await parking).parked
        assert (await cluster.snapshot(held.session_id)).kind == "park"


async def test_more_than_the_cap_is_told_and_the_last_state_stays(cluster):
    cluster.services.settings.__dict__["state_cap_bytes"] = 1 << 20
    held = await cluster.desk.start("solo", text="do: say hello")
    async with cluster.pod(held) as pod:
        await pod.boot()
        await pod.turn_ends(1)
        (pod.workspace / "big").write_bytes(os.urandom(2 << 20))
        assert (await pod.activation.park()).parked
        await until(lambda: told(cluster, "state_not_saved", "more than 1048576 bytes"))
    assert (await cluster.snapshot(held.session_id)).kind == "turn"


async def test_damaged_state_is_refused_and_the_loss_is_told(cluster):
    held = await cluster.desk.start("solo", text="do: say hello")
    async with cluster.pod(held) as first:
        await first.activation.check_out()
        first.commit()
        await first.activation.boot()
        await first.turn_ends(1)
        await first.activation.park()
    cluster.services.artifacts.damage((await cluster.snapshot(held.session_id)).digest)
    await cluster.desk.say(held.session_id, "do: say again")
    async with cluster.pod(await cluster.desk.activate(held.session_id)) as second:
        assert not (await second.boot()).resumed
        assert list(second.workspace.iterdir()) == []
        assert [
            each.name for each in (second.folder / "agent").iterdir() if each.name[0] == "."
        ] == []
        await second.turn_ends(2)
        await until(lambda: told(cluster, "state_lost", "not what was saved"))


async def test_a_body_over_the_cap_is_refused_in_words_over_a_real_connection(cluster):
    cluster.services.settings.__dict__["state_cap_bytes"] = 1 << 20
    held = await cluster.desk.start("solo")

    async def endless():
        for _ in range(64):
            yield bytes(1 << 20)

    lost = []
    async with RelayClient(
        relay_url=cluster.url,
        session_id=held.session_id,
        holder=held.holder,
        token=held.bundle.token,
        on_lost=lost.append,
    ) as client:
        with pytest.raises(ArtifactTooLarge, match="more than 1048576 bytes"):
            await client.store_content(endless())


async def test_a_replaced_activation_saves_nothing_and_stops(cluster):
    desk = cluster.desk
    held = await desk.start("solo", text="do: say hello")
    async with cluster.pod(held) as stale:
        await stale.boot()
        await stale.turn_ends(1)
        saved = await cluster.snapshot(held.session_id)
        run = held.holder.split("/")[0]
        again = ClaimRequest(flow_run_id=run, nonce="another-process", session_id=held.session_id)
        assert (await claim(desk.services, again)).bundle.generation == 2
        (stale.workspace / "late").write_text("too late")
        await stale.activation.leave("the pod ends")
        assert (await stale.activation.story.step(1, 10)).kind == "lost"
    assert await cluster.snapshot(held.session_id) == saved


async def test_a_turn_that_had_ended_when_its_pod_died_is_not_prompted_again(cluster, monkeypatch):
    report, died = Receipts.report, asyncio.Event()

    async def dies_first(self, wake_ids, receipt, **told):
        if receipt == "done" and not died.is_set():
            died.set()
            await asyncio.Event().wait()
        await report(self, wake_ids, receipt, **told)

    monkeypatch.setattr(Receipts, "report", dies_first)
    held = await cluster.desk.start("solo", text="do: say hello")
    async with cluster.pod(held) as first:
        await first.boot()
        await asyncio.wait_for(died.wait(), 20)
        await first.activation.leave("the node is gone")
    assert len(await cluster.desk.undone(held.session_id)) == 1
    cluster.desk.clock.pass_(60)
    async with cluster.pod(await cluster.desk.activate(held.session_id)) as second:
        await second.boot()
        await until(lambda: all_done(cluster, held))
        assert len((second.state / "home/fake-agent.jsonl").read_text().splitlines()) == 1


async def test_what_a_stopped_turn_had_done_is_there_for_its_second_try(cluster):
    held = await cluster.desk.start("solo", text="do: hang")
    async with cluster.pod(held) as first:
        await first.boot()
        await until(lambda: has(first.state / "home/fake-agent.jsonl"))
        (first.workspace / "half-done").write_text("x")
        await first.activation.leave("the node is drained")
    assert (await cluster.snapshot(held.session_id)).kind == "stop"
    cluster.desk.clock.pass_(60)
    async with cluster.pod(await cluster.desk.activate(held.session_id)) as second:
        assert (await second.boot()).resumed
        assert (second.workspace / "half-done").exists()
        history = second.state / "home/fake-agent.jsonl"
        await until(lambda: has(history, lines=2))
        assert "interrupted" in history.read_text().splitlines()[1]


async def test_a_pod_that_was_never_booted_leaves_the_state_as_it_was(cluster):
    held = await cluster.desk.start("solo", text="do: say hello")
    async with cluster.pod(held) as pod:
        await pod.activation.leave("at once")
    assert await cluster.snapshot(held.session_id) is None


async def test_what_stands_in_its_place_is_newer_than_any_snapshot(cluster):
    held = await cluster.desk.start("solo", text="do: say hello")
    async with cluster.pod(held) as pod:
        await pod.boot()
        await pod.turn_ends(1)
    assert (await cluster.snapshot(held.session_id)).turn == 1
    (pod.workspace / "since").write_text("x")
    async with bridge_at(pod.socket), pod.assembled():  # a sidecar that was killed, started again
        await pod.activation.check_out()
        assert (pod.workspace / "since").exists()


async def test_a_bridge_that_dies_while_it_saves_costs_the_save_alone(cluster, monkeypatch):
    async def away(self, selection, cap_bytes):
        raise ZoneAway("no bridge listens")
        yield b""

    monkeypatch.setattr("sidecar.pod.bridged.BridgedHands.save", away)
    held = await cluster.desk.start("solo", text="do: say hello")
    async with cluster.pod(held) as pod:
        await pod.boot()
        assert (await pod.turn_ends(1)).stop_reason == "end_turn"
        await until(lambda: told(cluster, "state_not_saved", "no bridge listens"))


async def all_done(cluster, held):
    return not await cluster.desk.undone(held.session_id)


async def told(cluster, what, text):
    return any(each["what"] == what and text in each["text"] for each in await cluster.errors())


async def has(path, lines=1):
    return path.exists() and len(path.read_text().splitlines()) >= lines
