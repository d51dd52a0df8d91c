"""Two relays on one real PostgreSQL and one real NATS: events kept once, wakes heard, outages waited for."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.local.components import natskeys
from sidecar.artifacts.jetstream import JetStreamArtifacts
from sidecar.bus.credentials import BusUsers
from sidecar.bus.nats import NatsBus, connect_session, login_of_file
from sidecar.domain.agent import Agent, AgentKind
from sidecar.domain.errors import BusUnavailable
from sidecar.domain.grant import Grant, GrantScope, GrantType
from sidecar.domain.ids import new_id
from sidecar.relay.activation_tokens import TokenFile
from sidecar.relay.app import create_app
from sidecar.relay.prefect import RunPhase
from sidecar.relay.prefect_memory import MemoryPrefect
from sidecar.relay.services import Services
from sidecar.relay.tokens import Tokens
from sidecar.settings import RelaySettings
from sidecar.store.migrations import migrate
from sidecar.store.postgres import PostgresStore
from sidecar.wire.claim import ClaimAnswer
from sidecar.wire.envelope import Envelope, encode, message_id

pytestmark = pytest.mark.real


async def until(condition, seconds=60.0):
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.02)
        return found


class Relays:
    """As many relays as a test asks for, on shared parts."""

    def __init__(self, stack, postgres_url, nats, tmp_path):
        self.stack, self.url, self.nats, self.tmp = stack, postgres_url, nats, tmp_path
        self.prefect = MemoryPrefect()
        self.key = Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        for name in ("operator", "activation", "prefect", "forge", "session"):
            (tmp_path / name).write_text(f"the-{name}-token")

    def settings(self):
        return RelaySettings(
            database_url=self.url,
            bus_url=self.nats.url,
            bus_account_seed_file=self.nats.keys / natskeys.ACCOUNT_SEED,
            bus_creds_file=self.nats.keys / natskeys.RELAY_CREDS,
            prefect_api_url="http://unused",
            prefect_auth_file=self.tmp / "prefect",
            operator_token_file=self.tmp / "operator",
            activation_token_file=self.tmp / "activation",
            session_key_file=self.tmp / "session",
            forge_app_id="1",
            forge_key_file=self.tmp / "forge",
            secrets_dir=self.tmp,
        )

    async def start(self):
        settings = self.settings()

        @asynccontextmanager
        async def build():
            store = PostgresStore(settings.database_url)
            bus = NatsBus(lambda: login_of_file(settings.bus_url, settings.bus_creds_file))
            yield Services(
                settings=settings,
                store=store,
                bus=bus,
                artifacts=JetStreamArtifacts(bus.jetstream, max_bytes=1 << 26),
                bus_users=BusUsers(settings.bus_account_seed_file.read_text()),
                prefect=self.prefect,
                forge=None,
                tokens=Tokens(self.key),
                activation_tokens=TokenFile(settings.activation_token_file),
            )
            await bus.aclose()
            await store.aclose()

        app = create_app(build, lambda: migrate(settings.database_url))
        await self.stack.enter_async_context(_lifespan(app))
        transport = httpx.ASGITransport(app=app)
        http = httpx.AsyncClient(transport=transport, base_url="http://relay")
        return app, await self.stack.enter_async_context(http)


@asynccontextmanager
async def _lifespan(app):
    """In a task of its own, as a server runs it."""
    started, stop = asyncio.Event(), asyncio.Event()

    async def serve():
        async with app.router.lifespan_context(app):
            started.set()
            await stop.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(serve())
        await started.wait()
        try:
            yield
        finally:
            stop.set()


@pytest.fixture
async def relays(postgres_url, nats_server, tmp_path):
    async with AsyncExitStack() as stack:
        yield Relays(stack, postgres_url, nats_server, tmp_path)


async def ready(http):
    async def is_ready():
        return (await http.get("/readyz")).status_code == 200

    await until(is_ready)


async def agents(app):
    async with app.state.services.store.transaction() as tx:
        for slug, kind in (("boss", AgentKind.ORCHESTRATOR), ("worker", AgentKind.WORKER)):
            await tx.agents.put(Agent(slug=slug, name=slug, kind=kind, runtime="scripted"))
        await tx.grants.insert(
            Grant(
                id=new_id(),
                agent="boss",
                type=GrantType.SPAWN,
                target="worker",
                scope=GrantScope.PERSISTENT,
                granted_by="operator:test",
                created_at=datetime.now(UTC),
            )
        )


async def claim(relays, http, run=None, **fields):
    if run is None:
        run = await relays.prefect.start(
            deployment="session/boss", parameters={}, name="r", idempotency_key=new_id()
        )
    relays.prefect.move(run, RunPhase.RUNNING)
    answer = await http.post(
        "/internal/sessions/claim",
        json={"flow_run_id": run, "nonce": "nonce-of-a-process"} | fields,
        headers={"authorization": "Bearer the-activation-token"},
    )
    assert answer.status_code == 200, answer.text
    claimed = ClaimAnswer.model_validate_json(answer.content)
    assert claimed.outcome == "claimed", claimed
    headers = {"authorization": f"Bearer {claimed.bundle.token.get_secret_value()}"}
    return claimed.bundle, headers


def envelope(bundle, number):
    return Envelope(
        id=new_id(),
        session_id=bundle.session_id,
        generation=bundle.generation,
        source="sidecar",
        source_sequence=number,
        timestamp=datetime.now(UTC),
        type="agent.text",
        payload={"n": number},
    )


async def texts(app, session_id):
    async with app.state.services.store.transaction() as tx:
        events = await tx.events.after(session_id, 0, types=["agent.text"], limit=1000)
    return [event.payload["n"] for event in events]


async def test_events_of_a_session_are_kept_once_whichever_relay_reads_them(relays):
    (first, http), (second, other) = await relays.start(), await relays.start()
    await ready(http)
    await ready(other)
    await agents(first)
    bundle, _ = await claim(relays, http, agent="boss")
    bus = await connect_session(lambda: bundle.bus)
    for start in range(1, 101, 10):
        batch = [envelope(bundle, number) for number in range(start, start + 10)]
        for _ in range(2):
            await bus.publish_events(bundle.session_id, encode(batch), message_id(batch))

    async def all_there():
        return len(await texts(second, bundle.session_id)) == 100

    await until(all_there)
    assert await texts(first, bundle.session_id) == list(range(1, 101))
    with pytest.raises(BusUnavailable):
        await bus.publish_events("another-session", b"[]", "x")
    await bus.aclose()


async def test_a_wake_accepted_by_one_relay_rings_at_once_and_is_read_from_the_other(relays):
    (app, http), (_, other) = await relays.start(), await relays.start()
    await ready(http)
    await agents(app)
    boss, token = await claim(relays, http, agent="boss")
    key = {"idempotency-key": "k"}
    body = {"child_agent_id": "worker", "brief": "do it"}
    answers = await asyncio.gather(
        *(each.post("/internal/sessions", json=body, headers=token | key) for each in (http, other))
    )
    assert len({answer.json()["session_id"] for answer in answers}) == 1
    child = answers[0].json()["session_id"]

    async def requested():
        runs = relays.prefect.runs.values()
        return next((r.id for r in runs if r.parameters.get("session_id") == child), None)

    worker, its_token = await claim(relays, other, await until(requested), session_id=child)
    bus = await connect_session(lambda: worker.bus)
    async with bus.doorbell(child) as rings:
        sent = await http.post(
            f"/internal/sessions/{boss.session_id}/messages",
            json={"to": child, "text": "hurry"},
            headers=token,
        )
        async with asyncio.timeout(30):
            assert await anext(rings) == sent.json()["wake_id"]
    wakes = await other.get(f"/internal/sessions/{child}/wakes", headers=its_token)
    assert [each["text"] for each in wakes.json()["wakes"]] == ["do it", "hurry"]
    await bus.aclose()


async def test_a_relay_comes_up_and_serves_what_it_can_while_the_bus_is_away(relays):
    relays.nats.server.kill()
    app, http = await relays.start()

    async def waits_for_the_bus_alone():
        return set((await http.get("/readyz")).json()["waits_for"]) == {"bus"}

    await until(waits_for_the_bus_alone)
    await agents(app)
    bundle, _ = await claim(relays, http, agent="boss")
    relays.nats.server.start()
    await ready(http)
    bus = await connect_session(lambda: bundle.bus)

    async def is_published():
        batch = [envelope(bundle, 1)]
        try:
            await bus.publish_events(bundle.session_id, encode(batch), message_id(batch))
        except BusUnavailable:
            return False
        return True

    await until(is_published)

    async def is_there():
        return await texts(app, bundle.session_id) == [1]

    await until(is_there)
    await bus.aclose()
