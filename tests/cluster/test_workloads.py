"""What the relay says of workloads that a real cluster refuses, cannot place, cannot start, or kills."""

import asyncio
import json

import pytest
from clusters import PATIENCE_SECONDS
from workload_ground import RUN_LABEL, cluster_ground

from sidecar.relay.workloads import WorkloadPhase


@pytest.fixture(scope="module")
def namespace(tmp_path_factory):
    with cluster_ground(tmp_path_factory.mktemp("account")) as made:
        yield made


@pytest.fixture
async def ground(namespace):
    mine = namespace.again()
    yield mine
    await mine.aclose()


async def told(ground, run, *words, phase=WorkloadPhase.STARTING):
    """The workload, once it is in `phase` and its diagnosis holds all of `words`.

    A container's end is told a moment before its pod's.
    """
    text = None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = (await ground.workloads.look([run]))[run]
                text = found.diagnosis.text if found.diagnosis else None
                if found.phase is phase and text and all(each in text for each in words):
                    return found
                await asyncio.sleep(0.3)
    except TimeoutError:
        pytest.fail(f"it said {text!r}, not {words}")


async def test_a_quota_that_is_used_up_is_told_with_its_numbers(ground):
    found = await told(ground, ground.job(memory="6Gi"), "requests.memory=6Gi", "limited")
    assert found.diagnosis.is_temporary


async def test_a_job_gets_its_pod_when_there_is_room_again(ground):
    run = ground.job(memory="1200Mi")
    await told(ground, run, "exceeded quota")
    more = json.dumps({"spec": {"hard": {"requests.memory": "2Gi"}}})
    ground.kubectl("patch", "resourcequota", "sessions", "-p", more)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await ground.workloads.look([run]))[run].phase is not WorkloadPhase.RUNNING:
            await asyncio.sleep(0.3)


async def test_a_pod_that_no_node_takes_is_told_in_the_schedulers_words(ground):
    run = ground.job(node_selector={"x1flows.io/no-such": "node"})
    found = await told(ground, run, "no node takes it", "nodes are available")
    assert found.diagnosis.is_temporary


async def test_an_image_that_is_nowhere_is_told_by_its_name(ground):
    run = ground.job(image="busybox:there-is-no-such-tag")
    found = await told(ground, run, "busybox:there-is-no-such-tag", "cannot be pulled", "not found")
    assert not found.diagnosis.is_temporary


async def test_an_image_name_that_is_none_is_told(ground):
    found = await told(ground, ground.job(image="Not A Name"), "InvalidImageName")
    assert not found.diagnosis.is_temporary


async def test_a_secret_that_is_not_there_is_told_by_its_name(ground):
    run = ground.job(env_from="no-such-secret")
    found = await told(ground, run, "CreateContainerConfigError", '"no-such-secret" not found')
    assert not found.diagnosis.is_temporary


async def test_memory_that_ran_out_is_told_with_the_limit(ground):
    """`tail` keeps the one endless line it reads."""
    run = ground.job(memory="24Mi", command=("sh", "-c", "tail /dev/zero"))
    words = ("more memory than its limit of 24Mi", "OOMKilled")
    await told(ground, run, *words, phase=WorkloadPhase.OVER)


async def test_a_container_that_exits_is_told_with_its_code(ground):
    run = ground.job(command=("sh", "-c", "exit 3"))
    await told(ground, run, "exited with code 3", phase=WorkloadPhase.OVER)


async def test_a_pod_that_fills_its_disk_is_evicted_and_says_so(ground):
    run = ground.job(
        command=("sh", "-c", "dd if=/dev/zero of=/scratch/x bs=1M count=64; sleep 600"),
        scratch="8Mi",
    )
    await told(ground, run, "it was evicted", "scratch", phase=WorkloadPhase.OVER)


async def test_a_pod_that_lost_its_job_is_found_and_removed(ground):
    run = ground.running()
    ground.kubectl("delete", "job", "-l", f"{RUN_LABEL}={run}", "--cascade=orphan")
    assert (await ground.workloads.phases())[run] is WorkloadPhase.RUNNING
    (name,) = await ground.workloads.remove(run)
    assert name.startswith("Pod ")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while run in await ground.workloads.phases():
            await asyncio.sleep(0.3)
