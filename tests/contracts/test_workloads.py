"""Workloads: the same cases over the double and real Jobs on a cluster."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from workload_ground import ClusterGround, MemoryGround, SecondOfTwoGround, cluster_ground

from sidecar.domain.errors import KubernetesUnavailable
from sidecar.domain.ids import FlowRunId
from sidecar.domain.pod_diagnosis import Cause
from sidecar.relay.workloads import MISSING, WorkloadPhase


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterGround]:
    with cluster_ground(tmp_path_factory.mktemp("account")) as ground:
        yield ground


@pytest.fixture(
    params=[MemoryGround, SecondOfTwoGround, pytest.param("cluster", marks=pytest.mark.cluster)]
)
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[MemoryGround | ClusterGround]:
    if request.param != "cluster":
        yield request.param()
        return
    mine = request.getfixturevalue("cluster").again()
    yield mine
    await mine.aclose()


async def seen(ground, run):
    return (await ground.workloads.look([run]))[run]


async def test_a_flow_run_without_a_job_is_missing(ground):
    run = FlowRunId("00000000-0000-4000-8000-000000000000")
    assert await seen(ground, run) == MISSING
    assert run not in await ground.workloads.phases()


async def test_looking_for_nothing_finds_nothing(ground):
    assert await ground.workloads.look([]) == {}


async def test_a_job_whose_pod_runs_is_well(ground):
    found = await seen(ground, ground.running())
    assert found.phase is WorkloadPhase.RUNNING
    assert found.diagnosis is None


async def test_a_job_that_ended_is_over(ground):
    assert (await seen(ground, ground.over())).phase is WorkloadPhase.OVER


async def test_only_what_did_its_work_has_completed(ground):
    done = ground.over()
    others = {ground.running(), ground.failed(), ground.unschedulable()}
    completed = set(await ground.workloads.completed())
    assert done in completed
    assert not completed & others


async def test_what_completed_and_was_removed_is_not_told_again(ground):
    run = ground.over()
    await ground.workloads.remove(run)
    await until_missing(ground, run)
    assert run not in await ground.workloads.completed()


async def test_a_pod_that_no_node_takes_waits_for_capacity(ground):
    found = await seen(ground, ground.unschedulable())
    assert found.phase is WorkloadPhase.STARTING
    assert found.diagnosis.cause is Cause.CAPACITY


async def test_a_job_whose_pod_the_quota_refuses_waits_for_it(ground):
    found = await seen(ground, ground.refused_by_quota())
    assert found.phase is WorkloadPhase.STARTING
    assert found.diagnosis.cause is Cause.QUOTA


async def test_each_of_several_runs_is_told_apart(ground):
    runs = [ground.running(), ground.over(), ground.unschedulable()]
    found = await ground.workloads.look(runs)
    phases = [WorkloadPhase.RUNNING, WorkloadPhase.OVER, WorkloadPhase.STARTING]
    assert [found[run].phase for run in runs] == phases
    assert {
        run: phase for run, phase in (await ground.workloads.phases()).items() if run in runs
    } == (dict(zip(runs, phases, strict=True)))


async def test_removing_takes_the_job_and_its_pod_and_may_be_repeated(ground):
    kept, run = ground.running(), ground.running()
    (name,) = await ground.workloads.remove(run)
    assert name.startswith("Job ")
    await until_missing(ground, run)
    assert await ground.workloads.remove(run) in ((), [])
    assert (await seen(ground, kept)).phase is WorkloadPhase.RUNNING


async def test_a_job_that_somebody_removed_is_missing(ground):
    assert await seen(ground, ground.removed()) == MISSING


async def test_an_api_that_is_away_is_said_to_be(ground):
    run = ground.running()
    ground.away()
    for asked in (
        ground.workloads.look([run]),
        ground.workloads.phases(),
        ground.workloads.completed(),
        ground.workloads.remove(run),
    ):
        with pytest.raises(KubernetesUnavailable):
            await asked


async def until_missing(ground, run):
    async with asyncio.timeout(60):
        while (await seen(ground, run)).phase is not WorkloadPhase.MISSING:
            await asyncio.sleep(0.2)
