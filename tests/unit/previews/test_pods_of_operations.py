"""Operations whose flow runs are pods on a cluster: queued, given up, replaced, removed, by what is seen of them."""

import asyncio
from dataclasses import replace

import pytest

from sidecar.domain.errors import ChecksFailed
from sidecar.domain.ids import PreviewId
from sidecar.domain.pod_diagnosis import Cause, Diagnosis
from sidecar.domain.preview import OperationKind, OperationState, PreviewStatus
from sidecar.relay.kubernetes.memory import MemoryWorkloads
from sidecar.relay.loops.sweeper import Sweeper
from sidecar.relay.prefect import RunPhase
from sidecar.relay.previews import reading, releasing, verifying
from sidecar.relay.workloads import Workload, WorkloadPhase
from sidecar.wire.previews import VerifyRequest

NO_QUOTA = Diagnosis(text="exceeded quota: operations", is_temporary=True, cause=Cause.QUOTA)
NO_NODE = Diagnosis(text="1 Insufficient memory", is_temporary=True, cause=Cause.CAPACITY)
NO_SECRET = Diagnosis(text='secret "x1-prefect-client" not found', is_temporary=False)
SLOW_IMAGE = Diagnosis(text="image x1/flow:9 cannot be pulled: i/o timeout", is_temporary=True)
CHECKS = [{"method": "GET", "path": "/", "status": 200}]
EVICTED = Diagnosis(text="it was evicted: low on memory", is_temporary=True, cause=Cause.LOST)


@pytest.fixture
def pods(desk):
    made = MemoryWorkloads()
    desk.services = replace(desk.services, workloads=made)
    return made


async def passes(desk, seconds=0):
    await desk.sweep()
    for _ in range(seconds):
        desk.clock.pass_(1)
        await desk.sweep()


async def requested(desk, boss, revision, branch="feat/one"):
    """The preview, and the flow run of its deploy, in a worker's hands."""
    answer = await desk.deploy(boss, revision, branch=branch)
    run = (await desk.open_operation()).flow_run_id
    desk.prefect.move(run, RunPhase.WAITING, "Pending")
    return answer.preview_id, run


async def status(desk, boss, preview_id):
    return await reading.status(desk.services, boss, PreviewId(preview_id))


@pytest.mark.parametrize("why", [NO_QUOTA, NO_NODE])
async def test_a_deploy_that_waits_for_room_says_so_and_is_never_given_up(
    desk, boss, revision, pods, why
):
    preview, run = await requested(desk, boss, revision)
    pods.move(run, WorkloadPhase.STARTING, why)
    await passes(desk, 300)
    told = await status(desk, boss, preview)
    assert told.waits_for == f"queued: {why.cause}, position 1 of 1; {why.text}"
    assert (told.status, told.diagnosis) == ("requested", None)
    assert (await desk.deploy(boss, revision)).waits_for == told.waits_for
    assert (await desk.open_operation()).attempt == 1


async def test_a_deploy_that_gets_its_room_waits_for_nothing_any_more(desk, boss, revision, pods):
    preview, run = await requested(desk, boss, revision)
    pods.move(run, WorkloadPhase.STARTING, NO_QUOTA)
    await passes(desk)
    pods.move(run, WorkloadPhase.RUNNING)
    await desk.report(await desk.claim(), "building")
    assert (await status(desk, boss, preview)).waits_for is None


async def test_the_place_in_the_queue_is_that_of_the_request(desk, boss, revision, pods):
    first, run = await requested(desk, boss, revision)
    pods.move(run, WorkloadPhase.STARTING, NO_NODE)
    second, run = await requested(desk, boss, desk.push("main two", "main"), branch="main")
    pods.move(run, WorkloadPhase.STARTING, NO_QUOTA)
    await passes(desk)
    assert "position 1 of 2" in (await status(desk, boss, first)).waits_for
    assert "position 2 of 2" in (await status(desk, boss, second)).waits_for


async def test_a_deploy_whose_pod_cannot_start_fails_with_that_sentence(desk, boss, revision, pods):
    preview, run = await requested(desk, boss, revision)
    pods.move(run, WorkloadPhase.STARTING, NO_SECRET)
    await passes(desk, 19)
    sentence = f"its pod cannot start: {NO_SECRET.text}"
    assert (await status(desk, boss, preview)).waits_for == sentence
    await passes(desk, 1)
    told = await status(desk, boss, preview)
    assert told.status == "failed"
    assert told.diagnosis == f"the deploy did not begin: {sentence}"
    assert told.waits_for is None
    (wake,) = await desk.wakes(boss)
    assert NO_SECRET.text in wake.text
    assert wake.payload["diagnosis"] == told.diagnosis
    assert "preview.failed" in await desk.events(boss)


async def test_a_deploy_whose_pod_cannot_start_leaves_no_job_and_no_lease(
    desk, boss, revision, pods
):
    preview, run = await requested(desk, boss, revision)
    pods.move(run, WorkloadPhase.STARTING, NO_SECRET)
    await passes(desk, 21)
    assert pods.workloads == {}
    assert desk.prefect.runs[run].state.name == "Crashed"
    await desk.deploy(boss, revision)
    await desk.report(await desk.claim(), "succeeded")
    assert (await desk.preview(preview)).status is PreviewStatus.READY


async def test_what_is_served_goes_on_though_the_next_deploys_pod_cannot_start(
    desk, boss, revision, pods
):
    await desk.ready(boss, revision)
    preview, run = await requested(desk, boss, desk.push("next"))
    pods.move(run, WorkloadPhase.STARTING, NO_SECRET)
    await passes(desk, 21)
    assert (await desk.preview(preview)).serving == revision
    assert f"{revision[:8]} keeps serving" in (await desk.wakes(boss))[-1].text


async def test_a_verification_whose_pod_cannot_start_says_so_to_who_waits(
    desk, boss, revision, pods
):
    answer = await desk.ready(boss, revision)
    request = VerifyRequest(checks=CHECKS)
    async with asyncio.TaskGroup() as group:
        asked = verifying.verify(desk.services, boss, answer.preview_id, request, None)
        refused = group.create_task(_error(asked))
        run = await _run_of(desk, OperationKind.VERIFY)
        pods.move(run, WorkloadPhase.STARTING, NO_SECRET)
        await passes(desk, 21)
    assert NO_SECRET.text in str(refused.result())


async def _error(asked):
    with pytest.raises(ChecksFailed) as raised:
        await asked
    return raised.value


async def _run_of(desk, kind):
    while True:
        async with desk.services.store.transaction() as tx:
            found = [each for each in await tx.operations.all_open() if each.kind is kind]
        if found and found[0].flow_run_id:
            return found[0].flow_run_id
        await asyncio.sleep(0)


async def test_a_registry_that_does_not_answer_is_waited_for(desk, boss, revision, pods):
    preview, run = await requested(desk, boss, revision)
    pods.move(run, WorkloadPhase.STARTING, SLOW_IMAGE)
    await passes(desk, 300)
    told = await status(desk, boss, preview)
    assert told.waits_for == f"its pod does not start yet: {SLOW_IMAGE.text}"


LOST = {
    "evicted before it began": (Workload(phase=WorkloadPhase.STARTING, diagnosis=EVICTED), 20),
    "evicted": (Workload(phase=WorkloadPhase.OVER, diagnosis=EVICTED), 5),
    "never made": (Workload(phase=WorkloadPhase.MISSING), 60),
    "does not claim": (Workload(phase=WorkloadPhase.RUNNING), 60),
}


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST.keys())
async def test_a_run_that_is_lost_or_never_claims_is_replaced(desk, boss, revision, pods, lost):
    seen, after = lost
    _, run = await requested(desk, boss, revision)
    if seen.phase is not WorkloadPhase.MISSING:
        pods.workloads[run] = seen
    await passes(desk, after - 1)
    assert (await desk.open_operation()).attempt == 1
    await passes(desk, 3)
    operation = await desk.open_operation()
    assert (operation.attempt, operation.state) == (2, OperationState.REQUESTED)
    assert run not in pods.workloads


async def test_three_runs_that_die_fail_the_deploy_with_the_last_ones_diagnosis(
    desk, boss, revision, pods
):
    answer = await desk.deploy(boss, revision)
    killed = Diagnosis(text="container prefect-job was killed (OOMKilled)", is_temporary=False)
    for _ in range(3):
        run = (await desk.open_operation()).flow_run_id
        pods.move(run, WorkloadPhase.OVER, killed)
        desk.prefect.move(run, RunPhase.FINAL, "Crashed", "exit 137")
        await desk.sweep()
    told = (await desk.preview(answer.preview_id)).diagnosis
    assert told == (
        f"given up after 3 flow runs: its flow run is Crashed: exit 137 (its pod: {killed.text})"
    )
    assert pods.workloads == {}


async def test_while_kubernetes_is_away_nothing_is_given_up_and_the_preview_says_so(
    desk, boss, revision, pods
):
    preview, run = await requested(desk, boss, revision)
    pods.move(run, WorkloadPhase.STARTING, NO_SECRET)
    await passes(desk, 10)
    pods.is_away = True
    await passes(desk, 120)
    assert "Kubernetes' API does not answer" in (await status(desk, boss, preview)).waits_for
    desk.prefect.move(run, RunPhase.FINAL, "Crashed", "cannot reach the API server")
    await passes(desk, 60)
    assert (await desk.open_operation()).attempt == 1
    pods.is_away = False
    await passes(desk)
    assert (await desk.open_operation()).attempt == 2


async def test_what_is_left_of_an_operation_that_ended_is_swept(desk, boss, revision, pods):
    preview, run = await requested(desk, boss, revision)
    pods.move(run, WorkloadPhase.STARTING, NO_QUOTA)
    sweeper = Sweeper()
    await sweeper.sweep(desk.services)
    pods.is_away = True
    await releasing.release(desk.services, PreviewId(preview), "operator:test")
    desk.prefect.move(run, RunPhase.WAITING, "Pending")
    pods.is_away = False
    for _ in range(7):
        await sweeper.sweep(desk.services)
        desk.clock.pass_(10)
    assert run not in pods.workloads
    async with desk.services.store.transaction() as tx:
        (swept,) = [each for each in await tx.audit.latest() if each.action == "sweep"]
    assert swept.details == {"flow_run_id": run, "session_id": boss.session_id}
    assert swept.reason == "its operation has failed"
