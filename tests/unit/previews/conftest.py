"""A relay on doubles with a forge in memory, one repository attached, and flow runs that the test plays."""

import asyncio
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
from sidecar.domain.ids import AgentSlug, GrantId, OperationId, Repository, SessionId, new_id
from sidecar.domain.session import Session, SpecReference
from sidecar.relay import claiming, merging
from sidecar.relay.activation_tokens import TokenFile
from sidecar.relay.forge.memory import MemoryForge
from sidecar.relay.prefect import RunPhase
from sidecar.relay.prefect_memory import MemoryPrefect
from sidecar.relay.previews import deploying, loop, operating, verifying
from sidecar.relay.previews.reconciling import OperationReconciler
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims, Tokens
from sidecar.settings import RelaySettings
from sidecar.store.memory import MemoryStore
from sidecar.wire.claim import ClaimRequest
from sidecar.wire.previews import (
    DeployRequest,
    MergeRequest,
    OperationBundle,
    OperationClaim,
    OperationProgress,
    VerifyRequest,
)

APP = Repository("acme/app")
BRANCH = "feat/one"
SPEC = b"""apiVersion: x1agent.io/v1
kind: PreviewSpec
metadata: {name: app}
spec:
  entrypoint: {kind: process, build: [make], run: [python3, -m, app]}
"""
CONTRACT = b"""---
child: worker
repo: acme/app
branch: feat/one
acceptance:
  - {method: GET, path: /, status: 200, contains: hello}
  - {method: GET, path: /healthz, status: 200}
---
Build it.
"""
CHECKS = [
    {"method": "GET", "path": "/", "status": 200, "contains": "hello"},
    {"method": "GET", "path": "/healthz", "status": 200},
]


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class Desk:
    services: Services
    clock: Clock
    prefect: MemoryPrefect
    forge: MemoryForge
    reconciler: OperationReconciler = field(default_factory=OperationReconciler)

    async def start(self, agent: str = "boss") -> SessionClaims:
        run = await self.prefect.start(
            deployment=f"session/{agent}", parameters={}, name="run", idempotency_key=new_id()
        )
        self.prefect.move(run, RunPhase.RUNNING)
        request = ClaimRequest(flow_run_id=run, agent=agent, nonce="nonce-of-a-process")
        answer = await claiming.claim(self.services, request)
        assert answer.bundle is not None
        return self.services.tokens.verify_session(answer.bundle.token.get_secret_value())

    async def deploy(
        self,
        claims: SessionClaims,
        revision: str,
        key: str | None = None,
        branch: str = BRANCH,
        wait_seconds: float = 0,
    ) -> Any:
        request = DeployRequest(
            repo=APP, branch=branch, commit_sha=revision, wait_seconds=wait_seconds
        )
        return await deploying.deploy(self.services, claims, request, key)

    async def open_operation(self) -> Any:
        async with self.services.store.transaction() as tx:
            return (await tx.operations.all_open())[-1]

    async def newest(self) -> Any:
        """Of what is open, if anything is."""
        async with self.services.store.transaction() as tx:
            return next(iter((await tx.operations.all_open())[-1:]), None)

    async def operation(self, operation_id: str) -> Any:
        async with self.services.store.transaction() as tx:
            return await tx.operations.get(OperationId(operation_id))

    async def claim(self, nonce: str = "nonce-one") -> OperationBundle:
        operation = await self.open_operation()
        self.prefect.move(operation.flow_run_id, RunPhase.RUNNING)
        request = OperationClaim(flow_run_id=operation.flow_run_id, nonce=nonce)
        return await operating.claim(self.services, operation.id, request)

    async def report(self, bundle: OperationBundle, status: str, **fields: Any) -> Any:
        claims = self.services.tokens.verify_operation(
            bundle.token.get_secret_value(), allow_expired=True
        )
        report = OperationProgress(holder=bundle.holder, status=status, **fields)
        return await operating.progress(self.services, claims, report)

    async def ready(self, claims: SessionClaims, revision: str, branch: str = BRANCH) -> Any:
        """What a deploy and its flow run do together."""
        answer = await self.deploy(claims, revision, branch=branch)
        await self.report(await self.claim(), "succeeded", result={"serving": revision})
        return answer

    async def verify(
        self,
        claims: SessionClaims,
        preview_id: str,
        *,
        passed: bool = True,
        checks: Any = None,
        results: Any = None,
    ) -> Any:
        """A verification whose flow run ends while its caller waits."""
        request = VerifyRequest(checks=CHECKS if checks is None else checks)

        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(
                verifying.verify(self.services, claims, preview_id, request, None)
            )
            while not any(
                run.name.startswith("verify") and run.state.phase is RunPhase.WAITING
                for run in self.prefect.runs.values()
            ):
                await asyncio.sleep(0)
                if waiting.done():
                    break
            if not waiting.done():
                bundle = await self.claim()
                told = results
                if told is None:
                    told = [{"passed": passed, "failures": []} for _ in bundle.checks]
                await self.report(bundle, "succeeded", result={"results": told})
        return waiting.result()

    async def merge(self, claims: SessionClaims, revision: str, evidence_id: str) -> Any:
        request = MergeRequest(
            repo=APP, head=BRANCH, base="main", expected_sha=revision, evidence_id=evidence_id
        )
        return await merging.merge(self.services, claims, request, None)

    async def sweep(self) -> None:
        await loop.sweep(self.services, self.reconciler)

    async def preview(self, preview_id: str) -> Any:
        async with self.services.store.transaction() as tx:
            return await tx.previews.get(preview_id)

    async def wakes(self, claims: SessionClaims) -> list[Any]:
        async with self.services.store.transaction() as tx:
            found = await tx.wakes.list_of(claims.session_id)
        return [each for each in reversed(found) if each.kind.value == "preview"]

    async def events(self, claims: SessionClaims) -> list[str]:
        async with self.services.store.transaction() as tx:
            return [event.type for event in await tx.events.after(claims.session_id, 0)]

    async def change(self, session_id: SessionId, **fields: Any) -> None:
        async with self.services.store.transaction() as tx:
            await tx.sessions.save(replace(await tx.sessions.lock(session_id), **fields))

    async def child(self, claims: SessionClaims, spec: SpecReference) -> Session:
        async with self.services.store.transaction() as tx:
            boss = await tx.sessions.get(claims.session_id)
            child = Session(
                id=SessionId(new_id()),
                workspace="default",
                agent=AgentSlug("worker"),
                kind=AgentKind.WORKER,
                runtime="scripted",
                parent_session_id=boss.id,
                root_session_id=boss.root_session_id,
                triggered_by=boss.triggered_by,
                created_at=self.clock(),
                spec=spec,
                branch=BRANCH,
            )
            await tx.sessions.insert(child)
        return child

    async def grant(self, scope: GrantScope = GrantScope.PERSISTENT) -> None:
        grant = Grant(
            id=GrantId(new_id()),
            agent=AgentSlug("boss"),
            type=GrantType.MERGE,
            target=APP,
            scope=scope,
            granted_by="operator:test",
            created_at=self.clock(),
        )
        async with self.services.store.transaction() as tx:
            await tx.grants.insert(grant)

    def push(self, name: str, branch: str = BRANCH, **parents: str) -> str:
        return self.forge.commit(
            APP, branch, {"page": name.encode(), ".x1agent/preview.yaml": SPEC}, **parents
        )


@pytest.fixture(scope="session")
def session_key() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def settings(tmp_path: Path) -> RelaySettings:
    def secret(name: str) -> Path:
        path = tmp_path / name
        path.write_text(f"secret-of-{name}")
        return path

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
        secrets_dir=tmp_path,
        loops=False,
    )


@pytest.fixture
async def desk(settings: RelaySettings, session_key: bytes) -> Desk:
    """Agents `boss` and `rival`, both attached to the app; `main` and a branch with one commit each."""
    clock, prefect, forge = Clock(), MemoryPrefect(), MemoryForge()
    users = SimpleNamespace(
        mint=lambda *_args, **_more: SimpleNamespace(jwt=SecretStr("jwt"), seed=SecretStr("seed"))
    )
    services = Services(
        settings=settings,
        store=MemoryStore(),
        bus=MemoryBus(),
        artifacts=MemoryArtifacts(),
        bus_users=users,
        prefect=prefect,
        forge=forge,
        tokens=Tokens(session_key, clock),
        activation_tokens=TokenFile(settings.activation_token_file),
        now=clock,
    )
    made = Desk(services=services, clock=clock, prefect=prefect, forge=forge)
    code = Attachment(repo=APP, branch="main", mount_path="app")
    for slug in ("boss", "rival"):
        agent = Agent(
            slug=AgentSlug(slug),
            name=slug,
            kind=AgentKind.ORCHESTRATOR,
            runtime="scripted",
            repos=(code,),
        )
        async with services.store.transaction() as tx:
            await tx.agents.put(agent)
    return made


@pytest.fixture
async def boss(desk: Desk) -> SessionClaims:
    return await desk.start()


@pytest.fixture
def main(desk: Desk) -> str:
    return desk.push("main", "main")


@pytest.fixture
def revision(desk: Desk, main: str) -> str:
    return desk.push("one", start=main)
