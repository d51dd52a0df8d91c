"""Operations on previews whose pods a real cluster refuses or cannot start: what their session is told, and what is left."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from clusters import PATIENCE_SECONDS
from workload_ground import ClusterGround, cluster_ground

from sidecar.bus.memory import MemoryBus
from sidecar.domain.agent import AgentKind
from sidecar.domain.ids import (
    AgentSlug,
    FlowRunId,
    OperationId,
    PreviewId,
    Repository,
    Revision,
    SessionId,
    new_id,
)
from sidecar.domain.preview import (
    Operation,
    OperationKind,
    OperationState,
    Preview,
    PreviewStatus,
)
from sidecar.domain.session import Session, TriggeredBy
from sidecar.relay.kubernetes.namespaces import WorkloadsOfNamespaces
from sidecar.relay.prefect import RunPhase, RunState
from sidecar.relay.prefect_memory import MemoryPrefect, MemoryRun
from sidecar.relay.previews.reading import waits_for
from sidecar.relay.previews.reconciling import OperationReconciler
from sidecar.relay.services import Services
from sidecar.store.memory import MemoryStore

NOW = datetime.now(UTC)


@dataclass
class Relay:
    """Of the whole, what judges operations; the pods are real."""

    services: Services
    ground: ClusterGround
    reconciler: OperationReconciler
    session: Session

    async def deploying(self, run: FlowRunId) -> tuple[PreviewId, OperationId]:
        """A deploy that Prefect has given to a worker, which made the Job of `run`."""
        preview = preview_of(self.session)
        operation = deploy_of(preview, run)
        state = RunState(phase=RunPhase.WAITING, name="Pending")
        prefect: Any = self.services.prefect
        prefect.runs[run] = MemoryRun(
            id=run, deployment="preview/preview", parameters={}, name="d", key=run, state=state
        )
        async with self.services.store.transaction() as tx:
            await tx.previews.insert(preview)
            await tx.operations.insert(operation)
        return preview.id, operation.id

    async def until(self, look: Any) -> Any:
        """Reconciles every second until `look` finds something."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                await self.reconciler.reconcile(self.services)
                async with self.services.store.transaction() as tx:
                    if found := await look(tx):
                        return found
                await asyncio.sleep(1)


@pytest.fixture(scope="module")
def namespace(tmp_path_factory):
    with cluster_ground(tmp_path_factory.mktemp("account")) as made:
        yield made


@pytest.fixture
async def relay(namespace):
    ground, store = namespace.again(), MemoryStore()
    session = session_of()
    async with store.transaction() as tx:
        await tx.sessions.insert(session)
    unused: Any = SimpleNamespace()
    services = Services(
        settings=unused,
        store=store,
        bus=MemoryBus(),
        artifacts=unused,
        bus_users=unused,
        prefect=MemoryPrefect(),
        forge=unused,
        tokens=unused,
        activation_tokens=unused,
        workloads=WorkloadsOfNamespaces(ground.workloads),
    )
    yield Relay(services, ground, OperationReconciler(), session)
    await ground.aclose()


async def test_a_deploy_that_the_quota_refuses_says_so_and_goes_on_waiting(relay):
    preview_id, operation_id = await relay.deploying(
        relay.ground.job(component="preview", memory="6Gi")
    )

    async def told(tx):
        return (await waits_for(tx)).get(preview_id)

    said = await relay.until(told)
    assert said.startswith("queued: quota, position 1 of 1; ")
    assert "requests.memory=6Gi" in said
    async with relay.services.store.transaction() as tx:
        assert (await tx.operations.get(operation_id)).state is OperationState.REQUESTED


async def test_a_deploy_whose_secret_is_not_there_fails_with_its_name_and_leaves_no_job(relay):
    run = relay.ground.job(component="preview", env_from="no-such-secret")
    preview_id, _ = await relay.deploying(run)

    async def failed(tx):
        preview = await tx.previews.get(preview_id)
        return preview.status is PreviewStatus.FAILED and preview.diagnosis

    said = await relay.until(failed)
    assert said.startswith("the deploy did not begin: its pod cannot start: ")
    assert '"no-such-secret" not found' in said
    async with relay.services.store.transaction() as tx:
        (wake,) = await tx.wakes.undone(relay.session.id)
        assert await tx.operations.all_open() == []
    assert said in wake.text
    assert wake.payload["status"] == "failed"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while run in await relay.services.workloads.phases():
            await asyncio.sleep(0.3)


def session_of() -> Session:
    session_id = SessionId(new_id())
    return Session(
        id=session_id,
        workspace="default",
        agent=AgentSlug("boss"),
        kind=AgentKind.ORCHESTRATOR,
        runtime="scripted",
        root_session_id=session_id,
        triggered_by=TriggeredBy.USER,
        created_at=NOW,
    )


def preview_of(session: Session) -> Preview:
    return Preview(
        id=PreviewId(new_id()),
        workspace="default",
        repo=Repository("acme/app"),
        branch="main",
        revision=Revision("a" * 40),
        owner_session_id=session.id,
        root_session_id=session.id,
        status=PreviewStatus.REQUESTED,
        url="https://app-main.previews.test",
        alias_url="https://app-aaaaaaaa.previews.test",
        created_at=NOW,
        updated_at=NOW,
    )


def deploy_of(preview: Preview, run: FlowRunId) -> Operation:
    return Operation(
        id=OperationId(new_id()),
        preview_id=preview.id,
        session_id=preview.owner_session_id,
        kind=OperationKind.DEPLOY,
        state=OperationState.REQUESTED,
        revision=preview.revision,
        created_at=NOW,
        attempt=1,
        flow_run_id=run,
    )
