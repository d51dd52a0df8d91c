"""A relay on doubles with the operator's routes and pages, and a client that holds the operator token."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from sidecar.artifacts.memory import MemoryArtifacts
from sidecar.bus.memory import MemoryBus
from sidecar.domain.agent import Agent, AgentKind
from sidecar.domain.event import EventType
from sidecar.domain.ids import ActivationId, AgentSlug, SessionId, new_id
from sidecar.domain.session import Activation, ActivationState, Session, SessionStatus, TriggeredBy
from sidecar.relay.activation_tokens import TokenFile
from sidecar.relay.app import create_app
from sidecar.relay.journal import note
from sidecar.relay.prefect_memory import MemoryPrefect
from sidecar.relay.services import Services
from sidecar.relay.tokens import Tokens
from sidecar.settings import RelaySettings
from sidecar.store.memory import MemoryStore
from sidecar.store.migrations import migrate
from sidecar.store.port import Store
from sidecar.store.postgres import PostgresStore

TOKEN = "the-operator-token"


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time


@dataclass
class Desk:
    services: Services
    clock: Clock

    async def agent(self, slug: str, kind: AgentKind = AgentKind.WORKER, **fields: Any) -> Agent:
        agent = Agent(slug=AgentSlug(slug), name=slug, kind=kind, runtime="scripted", **fields)
        async with self.services.store.transaction() as tx:
            await tx.agents.put(agent)
        return agent

    async def session(self, agent: str = "worker", **fields: Any) -> Session:
        session_id = SessionId(fields.pop("id", None) or new_id())
        parent = fields.get("parent_session_id")
        session = Session(
            id=session_id,
            workspace="default",
            agent=AgentSlug(agent),
            kind=fields.pop("kind", AgentKind.WORKER),
            runtime="scripted",
            root_session_id=parent or session_id,
            triggered_by=TriggeredBy.USER,
            created_at=self.clock(),
            **fields,
        )
        async with self.services.store.transaction() as tx:
            await tx.sessions.insert(session)
        return session

    async def activation(
        self, session: Session, state: ActivationState, **fields: Any
    ) -> Activation:
        activation = Activation(
            id=ActivationId(new_id()),
            session_id=session.id,
            state=state,
            requested_at=self.clock(),
            **fields,
        )
        async with self.services.store.transaction() as tx:
            await tx.activations.insert(activation)
        return activation

    async def note(self, session: Session, kind: EventType, **payload: Any) -> None:
        async with self.services.store.transaction() as tx:
            await note(tx, session, kind, payload)

    async def read(self, session: Session) -> Session:
        async with self.services.store.transaction() as tx:
            return await tx.sessions.get(session.id)

    async def ended(self, session: Session, seconds_ago: float) -> None:
        at = self.clock() - timedelta(seconds=seconds_ago)
        async with self.services.store.transaction() as tx:
            row = await tx.sessions.lock(session.id)
            done = replace(row, status=SessionStatus.COMPLETE, ended_at=at, summary="done")
            await tx.sessions.save(done)


@pytest.fixture(scope="session")
def session_key() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def settings(tmp_path: Path) -> RelaySettings:
    def secret(name: str, text: str = "secret") -> Path:
        path = tmp_path / name
        path.write_text(text + "\n")
        return path

    (tmp_path / "secrets").mkdir()
    return RelaySettings(
        database_url="unused",
        bus_url="nats://127.0.0.1:1",
        bus_account_seed_file=secret("seed"),
        bus_creds_file=secret("creds"),
        prefect_api_url="http://127.0.0.1:1/api",
        prefect_auth_file=secret("prefect"),
        prefect_ui_url="http://prefect",
        public_url="http://relay",
        operator_token_file=secret("operator", TOKEN),
        activation_token_file=secret("activation", "the-activation-token"),
        session_key_file=secret("key"),
        forge_app_id="1",
        forge_key_file=secret("forge"),
        secrets_dir=tmp_path / "secrets",
        loops=False,
    )


@pytest.fixture
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """The double; with X1_TEST_STORE=postgres the same cases run on a real ledger."""
    if os.environ.get("X1_TEST_STORE") != "postgres":
        yield MemoryStore()
        return
    url = request.getfixturevalue("postgres_url")
    await migrate(url)
    real = PostgresStore(url)
    yield real
    await real.aclose()


@pytest.fixture
def desk(settings: RelaySettings, session_key: bytes, store: Store) -> Desk:
    clock = Clock()
    users = SimpleNamespace(
        mint=lambda *_args, **_more: SimpleNamespace(jwt=SecretStr("jwt"), seed=SecretStr("seed"))
    )
    services = Services(
        settings=settings,
        store=store,
        bus=MemoryBus(),
        artifacts=MemoryArtifacts(),
        bus_users=users,
        prefect=MemoryPrefect(),
        forge=SimpleNamespace(),
        tokens=Tokens(session_key, clock),
        activation_tokens=TokenFile(settings.activation_token_file),
        now=clock,
    )
    return Desk(services=services, clock=clock)


@pytest.fixture
async def anybody(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever reaches the relay, with no token and no cookie."""

    @asynccontextmanager
    async def build() -> AsyncIterator[Services]:
        yield desk.services

    app = create_app(build)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://relay") as client,
    ):
        yield client


@pytest.fixture
def http(anybody: httpx.AsyncClient) -> httpx.AsyncClient:
    """The operator."""
    anybody.headers["authorization"] = f"Bearer {TOKEN}"
    return anybody


@pytest.fixture
async def browser(anybody: httpx.AsyncClient) -> httpx.AsyncClient:
    """A browser that has signed in; it sends its Origin, as browsers do with what they post."""
    anybody.headers["origin"] = "http://relay"
    answer = await anybody.post("/login", data={"token": TOKEN})
    assert answer.status_code == 303, answer.text
    return anybody
