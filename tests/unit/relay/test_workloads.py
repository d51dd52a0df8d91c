"""Activations whose workload is on a cluster: queued, given up, replaced, removed, by what is seen of it."""

import re
from dataclasses import replace

import pytest

from sidecar.domain.pod_diagnosis import Cause, Diagnosis
from sidecar.domain.session import SessionStatus
from sidecar.domain.wake import WakeKind
from sidecar.relay import cancelling
from sidecar.relay.activating import request_missing
from sidecar.relay.kubernetes.memory import MemoryWorkloads
from sidecar.relay.loops import watchdog
from sidecar.relay.loops.answering import Answering
from sidecar.relay.loops.reaper import reap
from sidecar.relay.prefect import RunPhase
from sidecar.relay.reconciling import Reconciler
from sidecar.relay.workloads import Workload, WorkloadPhase

NO_QUOTA = Diagnosis(text="exceeded quota: sessions", is_temporary=True, cause=Cause.QUOTA)
NO_NODE = Diagnosis(text="1 Insufficient memory", is_temporary=True, cause=Cause.CAPACITY)
NO_IMAGE = Diagnosis(text="image x1/agent:9 cannot be pulled: not found", is_temporary=False)
SLOW_IMAGE = Diagnosis(text="image x1/agent:9 cannot be pulled: i/o timeout", is_temporary=True)
EVICTED = Diagnosis(text="it was evicted: low on memory", is_temporary=True, cause=Cause.LOST)


@pytest.fixture
def pods(desk):
    made = MemoryWorkloads()
    desk.services = replace(desk.services, workloads=made)
    return made


@pytest.fixture
def reconciler():
    return Reconciler()


@pytest.fixture
def settle(desk, reconciler):
    """Passes of the reconciler over so many seconds."""
    since = desk.clock()

    async def passes(seconds=0):
        await reconciler.reconcile(desk.services, since)
        for _ in range(seconds):
            desk.clock.pass_(1)
            await reconciler.reconcile(desk.services, since)

    return passes


async def activation_of(desk, session_id):
    async with desk.services.store.transaction() as tx:
        return await tx.activations.open_of(session_id)


async def requested(desk, boss=None):
    """A hired session, and the flow run that Prefect has for it, in a worker's hands."""
    child = await desk.spawn(boss or await desk.start())
    await request_missing(desk.services)
    run = (await activation_of(desk, child)).flow_run_id
    desk.prefect.move(run, RunPhase.WAITING, "Pending")
    return child, run


async def reason(desk, session_id):
    return (await activation_of(desk, session_id)).queued_reason


@pytest.mark.parametrize(("why", "name"), [(NO_QUOTA, "quota"), (NO_NODE, "capacity")])
async def test_what_waits_for_room_says_so_and_is_never_given_up(desk, pods, settle, why, name):
    child, run = await requested(desk)
    pods.move(run, WorkloadPhase.STARTING, why)
    await settle(600)
    assert await reason(desk, child) == f"queued: {name}, position 1 of 1; {why.text}"
    assert (await desk.session(child)).failures == 0


async def test_the_place_in_the_queue_is_that_of_the_request(desk, pods, settle):
    boss = await desk.start()
    waiting = []
    for _ in range(3):
        waiting.append(await requested(desk, boss))
        desk.clock.pass_(1)
    for (_, run), why in zip(waiting, (NO_NODE, NO_QUOTA, NO_QUOTA), strict=True):
        pods.move(run, WorkloadPhase.STARTING, why)
    await settle()
    told = [await reason(desk, child) for child, _ in waiting]
    assert [re.search(r"position \d of \d", each)[0] for each in told] == [
        "position 1 of 3",
        "position 2 of 3",
        "position 3 of 3",
    ]
    pods.move(waiting[0][1], WorkloadPhase.RUNNING)
    await settle()
    assert "position 1 of 2" in await reason(desk, waiting[1][0])


async def test_a_pod_that_cannot_start_is_told_then_tried_again(desk, pods, settle):
    child, run = await requested(desk)
    pods.move(run, WorkloadPhase.STARTING, NO_IMAGE)
    await settle(19)
    assert await reason(desk, child) == f"its pod cannot start: {NO_IMAGE.text}"
    await settle(2)
    assert await activation_of(desk, child) is None
    assert run not in pods.workloads
    assert desk.prefect.runs[run].state.name == "Crashed"
    desk.clock.pass_(1)
    await request_missing(desk.services)
    assert (await activation_of(desk, child)).flow_run_id not in (run, None)


async def test_five_pods_that_cannot_start_fail_the_session_and_its_caller_is_told_why(
    desk, pods, settle
):
    boss = await desk.start()
    child = await desk.spawn(boss)
    for _ in range(5):
        desk.clock.pass_(61)
        await request_missing(desk.services)
        run = (await activation_of(desk, child)).flow_run_id
        desk.prefect.move(run, RunPhase.WAITING, "Pending")
        pods.move(run, WorkloadPhase.STARTING, NO_IMAGE)
        await settle(21)
    session = await desk.session(child)
    assert session.status is SessionStatus.FAILED
    assert NO_IMAGE.text in session.outcome
    told = (await desk.undone(boss.session_id))[-1]
    assert NO_IMAGE.text in told.text
    assert NO_IMAGE.text in told.payload["outcome"]
    assert (await desk.events(child)).count("agent.error") == 5
    assert pods.workloads == {}


async def test_a_registry_that_does_not_answer_is_waited_for(desk, pods, settle):
    child, run = await requested(desk)
    pods.move(run, WorkloadPhase.STARTING, SLOW_IMAGE)
    await settle(300)
    assert await reason(desk, child) == f"its pod does not start yet: {SLOW_IMAGE.text}"


@pytest.mark.parametrize(
    ("lost", "after"),
    [
        (Workload(phase=WorkloadPhase.STARTING, diagnosis=EVICTED), 20),
        (Workload(phase=WorkloadPhase.OVER, diagnosis=EVICTED), 5),
        (Workload(phase=WorkloadPhase.OVER), 5),
    ],
)
async def test_a_pod_that_is_lost_before_it_claimed_is_replaced_though_prefect_knows_nothing(
    desk, pods, settle, lost, after
):
    child, run = await requested(desk)
    pods.workloads[run] = lost
    await settle(after - 1)
    assert (await activation_of(desk, child)).flow_run_id == run
    await settle(2)
    assert await activation_of(desk, child) is None


async def test_a_worker_that_died_before_it_made_the_job_is_not_waited_for(desk, pods, settle):
    child, _ = await requested(desk)
    await settle(59)
    assert await activation_of(desk, child) is not None
    await settle(2)
    assert await activation_of(desk, child) is None


async def test_a_run_that_no_worker_has_taken_is_waited_for(desk, pods, settle):
    child, run = await requested(desk)
    desk.prefect.move(run, RunPhase.WAITING, "Late")
    await settle(300)
    assert await reason(desk, child) == "queued: Late"


async def test_a_run_whose_job_was_removed_is_replaced_though_prefect_says_it_runs(
    desk, pods, settle
):
    child, run = await requested(desk)
    desk.prefect.move(run, RunPhase.RUNNING)
    pods.move(run, WorkloadPhase.RUNNING)
    await settle(10)
    await pods.remove(run)
    await settle(6)
    assert await activation_of(desk, child) is None


async def test_a_pod_that_runs_and_never_tells_prefect_has_a_minute_to_claim(desk, pods, settle):
    child, run = await requested(desk)
    pods.move(run, WorkloadPhase.RUNNING)
    await settle(59)
    assert await activation_of(desk, child) is not None
    await settle(3)
    assert await activation_of(desk, child) is None


async def test_while_kubernetes_is_away_nothing_is_given_up_and_the_session_says_so(
    desk, pods, settle
):
    child, run = await requested(desk)
    desk.prefect.move(run, RunPhase.RUNNING)
    pods.move(run, WorkloadPhase.RUNNING)
    await settle(30)
    pods.is_away = True
    await settle(120)
    assert "Kubernetes' API does not answer" in await reason(desk, child)
    pods.is_away = False
    await settle(59)
    assert (await activation_of(desk, child)).flow_run_id == run
    await settle(3)
    assert await activation_of(desk, child) is None


async def test_a_submission_that_crashed_while_kubernetes_is_away_is_one_try_and_not_five(
    desk, pods, settle
):
    child, run = await requested(desk)
    pods.is_away = True
    desk.prefect.move(run, RunPhase.FINAL, "Crashed", "cannot reach the API server")
    for _ in range(5):
        await settle(60)
        await request_missing(desk.services)
    assert (await desk.session(child)).failures == 0
    pods.is_away = False
    await settle()
    assert (await desk.session(child)).failures == 1


async def test_a_person_may_cancel_while_kubernetes_is_away(desk, pods, settle):
    child, run = await requested(desk)
    pods.is_away = True
    await desk.prefect.cancel(run)
    await settle()
    assert (await desk.session(child)).status is SessionStatus.CANCELLED


async def test_cancelling_a_session_that_has_not_started_removes_its_workload(desk, pods):
    child, run = await requested(desk)
    pods.move(run, WorkloadPhase.STARTING, NO_QUOTA)
    await cancelling.cancel(desk.services, child, "enough", "operator:test")
    assert pods.workloads == {}
    assert desk.prefect.runs[run].state.phase is RunPhase.CANCELLED


async def test_cancelling_works_while_kubernetes_is_away(desk, pods):
    child, run = await requested(desk)
    pods.move(run, WorkloadPhase.STARTING, NO_QUOTA)
    pods.is_away = True
    await cancelling.cancel(desk.services, child, "enough", "operator:test")
    assert (await desk.session(child)).status is SessionStatus.CANCELLED


async def test_a_holder_that_fell_silent_is_replaced_with_its_pods_diagnosis(desk, pods):
    held = await desk.activate(await desk.spawn(await desk.start()))
    run = (await activation_of(desk, held.session_id)).flow_run_id
    pods.move(run, WorkloadPhase.OVER, EVICTED)
    answering = Answering()
    for _ in range(21):
        await reap(desk.services, answering)
        desk.clock.pass_(1)
    await reap(desk.services, answering)
    async with desk.services.store.transaction() as tx:
        ended = await tx.activations.of_flow_run(run)
    assert EVICTED.text in ended.end_reason
    assert run not in pods.workloads


async def test_a_crashed_run_is_closed_with_its_pods_diagnosis(desk, pods, settle):
    held = await desk.activate(await desk.spawn(await desk.start()))
    run = (await activation_of(desk, held.session_id)).flow_run_id
    killed = Diagnosis(text="container sidecar was killed (OOMKilled)", is_temporary=False)
    pods.move(run, WorkloadPhase.OVER, killed)
    desk.prefect.move(run, RunPhase.FINAL, "Crashed", "exit 1")
    await settle()
    async with desk.services.store.transaction() as tx:
        ended = await tx.activations.of_flow_run(run)
    assert ended.end_reason == f"its flow run is Crashed: exit 1 (its pod: {killed.text})"


async def test_a_holder_that_does_not_end_when_cancelled_loses_its_pod(desk, pods, settle):
    held = await desk.start()
    run = (await activation_of(desk, held.session_id)).flow_run_id
    pods.move(run, WorkloadPhase.RUNNING)
    desk.prefect.move(run, RunPhase.CANCELLED, "Cancelling")
    await settle(20)
    assert run in pods.workloads
    await settle(2)
    assert run not in pods.workloads


@pytest.mark.parametrize(
    ("phase", "why", "said"),
    [
        (WorkloadPhase.STARTING, None, "its pod is being started"),
        (WorkloadPhase.STARTING, NO_IMAGE, NO_IMAGE.text),
        (WorkloadPhase.OVER, EVICTED, EVICTED.text),
    ],
)
async def test_the_watchdog_knows_the_phase_of_a_silent_childs_pod(desk, pods, phase, why, said):
    boss = await desk.start()
    _, run = await requested(desk, boss)
    pods.move(run, phase, why)
    assert said in await watched(desk, boss)


async def test_the_watchdog_looks_at_the_pod_of_a_child_that_runs(desk, pods):
    boss = await desk.start()
    held = await desk.activate(await desk.spawn(boss))
    run = (await activation_of(desk, held.session_id)).flow_run_id
    pods.move(run, WorkloadPhase.RUNNING, Diagnosis(text="node is lost", is_temporary=True))
    assert "its pod is in trouble: node is lost" in await watched(desk, boss)


async def test_the_watchdog_does_its_work_while_kubernetes_is_away(desk, pods):
    boss = await desk.start()
    await requested(desk, boss)
    pods.is_away = True
    assert "does not run yet" in await watched(desk, boss)


async def watched(desk, boss):
    for _ in range(24):
        desk.clock.pass_(10)
        await watchdog.look(desk.services)
    woken = await desk.undone(boss.session_id)
    return next(wake for wake in woken if wake.kind is WakeKind.WATCHDOG).text
