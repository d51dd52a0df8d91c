"""The tidier on real pods: one that completed goes within seconds, one that failed stays to be read."""

import asyncio
from types import SimpleNamespace

import pytest
from endings import endings
from workload_ground import RUN_LABEL, cluster_ground

from sidecar.relay.kubernetes.namespaces import WorkloadsOfNamespaces
from sidecar.relay.loops.tidier import EVERY_SECONDS, tidy
from sidecar.relay.prefect_memory import MemoryPrefect

MOST_SECONDS = 5.0


@pytest.fixture(scope="module")
def namespace(tmp_path_factory):
    with cluster_ground(tmp_path_factory.mktemp("account")) as made:
        yield made


@pytest.fixture
async def tidied(namespace):
    """Its namespace, tidied as often as the relay does it. This Prefect has forgotten all of its runs."""
    ground = namespace.again()
    workloads = WorkloadsOfNamespaces(ground.workloads)
    services = SimpleNamespace(workloads=workloads, prefect=MemoryPrefect())

    async def rounds():
        while True:
            await tidy(services)
            await asyncio.sleep(EVERY_SECONDS)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(rounds(), name="tidier")
        yield ground
        task.cancel()
    await ground.aclose()


async def test_the_pod_of_a_run_that_completed_is_gone_within_five_seconds(tidied):
    with endings(tidied.namespace) as gone:
        runs = [
            tidied.job(command=("sleep", "1"), has_sidecar=True, component=each)
            for each in ("session", "preview")
        ]
        for run in runs:
            assert await asyncio.to_thread(gone.of, run) <= MOST_SECONDS
            assert tidied.kubectl("get", "jobs", "-l", f"{RUN_LABEL}={run}", "-o", "name") == ""


async def test_the_pod_of_a_run_that_failed_stays_to_be_read(tidied):
    failed = await asyncio.to_thread(tidied.failed)
    done = tidied.job(command=("true",))
    with endings(tidied.namespace) as gone:
        await asyncio.to_thread(gone.of, done)
    assert tidied.pods(failed) != ""
