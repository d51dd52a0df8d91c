"""A relay on doubles, with a clock that the test turns and a Prefect whose runs it moves."""

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from sidecar.artifacts.memory import MemoryArtifacts
from sidecar.bus.memory import MemoryBus
from sidecar.domain.agent import Agent, AgentKind
from sidecar.domain.attachment import Attachment
from sidecar.domain.grant import Grant, GrantScope, GrantType
from sidecar.domain.ids import AgentSlug, GrantId, Repository, SessionId, WakeId, new_id
from sidecar.domain.lease import holder_of
from sidecar.domain.session import Session
from sidecar.domain.wake import Wake, WakeKind
from sidecar.relay import activating, claiming, receipts, spawning, waking
from sidecar.relay.activation_tokens import TokenFile
from sidecar.relay.prefect import RunPhase
from sidecar.relay.prefect_memory import MemoryPrefect
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims, Tokens
from sidecar.settings import RelaySettings
from sidecar.store.memory import MemoryStore
from sidecar.store.migrations import migrate
from sidecar.store.port import Store
from sidecar.store.postgres import PostgresStore
from sidecar.wire.claim import ClaimAnswer, ClaimRequest, SessionBundle
from sidecar.wire.sessions import SpawnRequest
from sidecar.wire.wakes import ReceiptReport

BOSS, WORKER = AgentSlug("boss"), AgentSlug("worker")
CODE = Repository("acme/code")


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Held:
    """One activation as its sidecar knows it."""

    bundle: SessionBundle
    holder: str
    claims: SessionClaims

    @property
    def session_id(self) -> SessionId:
        return self.claims.session_id


@dataclass
class Desk:
    services: Services
    clock: Clock
    prefect: MemoryPrefect
    bus: MemoryBus
    files: dict[tuple[str, str, str], bytes] = field(default_factory=dict)

    async def agent(self, slug: AgentSlug, kind: AgentKind, **fields: Any) -> Agent:
        agent = Agent(slug=slug, name=slug.title(), kind=kind, runtime="scripted", **fields)
        async with self.services.store.transaction() as tx:
            await tx.agents.put(agent)
        return agent

    async def grant(self, agent: AgentSlug, kind: GrantType, target: str, **fields: Any) -> Grant:
        grant = Grant(
            id=GrantId(new_id()),
            agent=agent,
            type=kind,
            target=target,
            scope=fields.pop("scope", GrantScope.PERSISTENT),
            granted_by="operator:test",
            created_at=self.clock(),
            **fields,
        )
        async with self.services.store.transaction() as tx:
            await tx.grants.insert(grant)
        return grant

    async def run(self, deployment: str = "session/boss") -> str:
        """A flow run that somebody asked Prefect for and a worker has started."""
        run = await self.prefect.start(
            deployment=deployment, parameters={}, name="run", idempotency_key=new_id()
        )
        self.prefect.move(run, RunPhase.RUNNING)
        return run

    async def claim(self, run: str, **fields: Any) -> ClaimAnswer:
        fields.setdefault("nonce", "nonce-of-a-process")
        return await claiming.claim(self.services, ClaimRequest(flow_run_id=run, **fields))

    async def start(self, agent: str = "boss", **fields: Any) -> Held:
        run = await self.run()
        return self.held(run, await self.claim(run, agent=agent, **fields))

    def held(self, run: str, answer: ClaimAnswer, nonce: str = "nonce-of-a-process") -> Held:
        assert answer.outcome == "claimed", answer
        assert answer.bundle is not None
        claims = self.services.tokens.verify_session(answer.bundle.token.get_secret_value())
        return Held(bundle=answer.bundle, holder=holder_of(run, nonce), claims=claims)

    async def activate(self, session_id: SessionId) -> Held:
        """What activator, Prefect, worker and flow do together."""
        await activating.request_missing(self.services)
        async with self.services.store.transaction() as tx:
            activation = await tx.activations.open_of(session_id)
        assert activation is not None
        assert activation.flow_run_id is not None
        self.prefect.move(activation.flow_run_id, RunPhase.RUNNING)
        answer = await self.claim(activation.flow_run_id, session_id=session_id)
        return self.held(activation.flow_run_id, answer)

    async def spawn(self, caller: Held, key: str | None = None, **fields: Any) -> SessionId:
        fields.setdefault("child_agent_id", WORKER)
        fields.setdefault("brief", "do it")
        request = SpawnRequest(**fields)
        answer = await spawning.spawn(self.services, caller.claims, request, key)
        return SessionId(answer.session_id)

    async def say(self, session_id: SessionId, text: str = "hello") -> Wake:
        async with self.services.store.transaction() as tx:
            wake = await waking.wake(tx, self.services, session_id, WakeKind.USER, text)
        await waking.ring(self.services, wake)
        return wake

    async def report(self, held: Held, receipt: Any, *wakes: WakeId | str) -> None:
        ids = list(wakes) or [wake.id for wake in await self.undone(held.session_id)]
        request = ReceiptReport(holder=held.holder, wake_ids=ids, receipt=receipt)
        await receipts.report(self.services, held.claims, request)

    async def take_turn(self, held: Held) -> None:
        ids = [wake.id for wake in await self.undone(held.session_id)]
        for receipt in ("delivered", "read", "done"):
            await self.report(held, receipt, *ids)

    async def session(self, session_id: SessionId) -> Session:
        async with self.services.store.transaction() as tx:
            return await tx.sessions.get(session_id)

    async def change(self, session_id: SessionId, **fields: Any) -> None:
        async with self.services.store.transaction() as tx:
            await tx.sessions.save(replace(await tx.sessions.lock(session_id), **fields))

    async def undone(self, session_id: SessionId) -> list[Wake]:
        async with self.services.store.transaction() as tx:
            return list(await tx.wakes.undone(session_id))

    async def wakes(self, session_id: SessionId) -> list[Wake]:
        async with self.services.store.transaction() as tx:
            return list(reversed(await tx.wakes.list_of(session_id)))

    async def events(self, session_id: SessionId) -> list[str]:
        async with self.services.store.transaction() as tx:
            return [event.type for event in await tx.events.after(session_id, 0)]


class Files:
    """A forge with one branch head a repository and the files a test put there."""

    git_url = "http://forge"

    def __init__(self, files: dict[tuple[str, str, str], bytes]) -> None:
        self.files = files
        self.heads: dict[str, str] = {}

    async def head(self, repo: str, branch: str) -> str | None:
        return self.heads.get(repo)

    async def is_ancestor(self, repo: str, old: str, new: str) -> bool:
        return False

    async def read_file(self, repo: str, path: str, revision: str) -> bytes | None:
        return self.files.get((repo, path, revision))


@pytest.fixture(scope="session")
def session_key() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def settings(tmp_path: Path) -> RelaySettings:
    def secret(name: str) -> Path:
        path = tmp_path / name
        path.write_text(f"secret of {name}".replace(" ", "-"))
        return path

    (tmp_path / "secrets").mkdir()
    return RelaySettings(
        database_url="unused",
        bus_url="nats://127.0.0.1:1",
        bus_account_seed_file=secret("seed"),
        bus_creds_file=secret("creds"),
        prefect_api_url="http://127.0.0.1:1/api",
        prefect_auth_file=secret("prefect"),
        operator_token_file=secret("operator"),
        activation_token_file=secret("activation"),
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
def desk_of(settings: RelaySettings, session_key: bytes, store: Store) -> Callable[..., Desk]:
    """Relays that share a store, artifacts, a bus and a Prefect: each call is one more replica."""
    clock, prefect, bus, files = Clock(), MemoryPrefect(), MemoryBus(), {}
    artifacts = MemoryArtifacts(clock)
    users = SimpleNamespace(
        mint=lambda *_args, **_more: SimpleNamespace(jwt=SecretStr("jwt"), seed=SecretStr("seed"))
    )

    def one_more() -> Desk:
        services = Services(
            settings=settings,
            store=store,
            bus=bus,
            artifacts=artifacts,
            bus_users=users,
            prefect=prefect,
            forge=Files(files),
            tokens=Tokens(session_key, clock),
            activation_tokens=TokenFile(settings.activation_token_file),
            now=clock,
        )
        return Desk(services=services, clock=clock, prefect=prefect, bus=bus, files=files)

    return one_more


@pytest.fixture
async def desk(desk_of: Callable[..., Desk]) -> Desk:
    """An orchestrator `boss` that may hire `worker`."""
    made = desk_of()
    code = Attachment(repo=CODE, branch="main", mount_path="code", allow_push=True)
    await made.agent(BOSS, AgentKind.ORCHESTRATOR, repos=(code,))
    await made.agent(WORKER, AgentKind.WORKER, repos=(code,))
    await made.grant(BOSS, GrantType.SPAWN, WORKER)
    return made
