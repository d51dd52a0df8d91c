"""The sweep: what is over or known to nobody is removed after a grace; what somebody waits for is not."""

from dataclasses import replace

import pytest

from sidecar.domain.errors import KubernetesUnavailable, PrefectUnavailable
from sidecar.domain.session import ActivationState
from sidecar.relay import cancelling
from sidecar.relay.activating import request_missing
from sidecar.relay.kubernetes.memory import MemoryWorkloads
from sidecar.relay.loops.sweeper import Sweeper
from sidecar.relay.prefect import RunPhase
from sidecar.relay.workloads import WorkloadPhase


@pytest.fixture
def pods(desk):
    made = MemoryWorkloads()
    desk.services = replace(desk.services, workloads=made)
    return made


@pytest.fixture
def sweep(desk):
    sweeper = Sweeper()

    async def passes(seconds):
        await sweeper.sweep(desk.services)
        for _ in range(seconds // 10):
            desk.clock.pass_(10)
            await sweeper.sweep(desk.services)

    return passes


async def run_of(desk, session_id):
    async with desk.services.store.transaction() as tx:
        return (await tx.activations.open_of(session_id)).flow_run_id


async def swept(desk):
    async with desk.services.store.transaction() as tx:
        return [each for each in await tx.audit.latest() if each.action == "sweep"]


async def left_behind(desk, pods):
    """A session that was cancelled while Kubernetes was away: its Job is still there."""
    child = await desk.spawn(await desk.start())
    await request_missing(desk.services)
    run = await run_of(desk, child)
    pods.move(run, WorkloadPhase.RUNNING)
    pods.is_away = True
    await cancelling.cancel(desk.services, child, "enough", "operator:test")
    pods.is_away = False
    return child, run


async def test_the_workload_of_an_ended_activation_is_removed_after_a_grace(desk, pods, sweep):
    child, run = await left_behind(desk, pods)
    await sweep(50)
    assert run in pods.workloads
    await sweep(10)
    assert run not in pods.workloads
    (entry,) = await swept(desk)
    assert entry.actor == "relay"
    assert entry.details == {"flow_run_id": run, "session_id": child}
    assert "its activation has ended" in entry.reason


async def test_the_run_of_a_removed_workload_is_ended_in_prefect(desk, pods, sweep):
    held = await desk.start()
    run = await run_of(desk, held.session_id)
    pods.move(run, WorkloadPhase.RUNNING)
    async with desk.services.store.transaction() as tx:
        open_one = await tx.activations.open_of(held.session_id)
        await tx.activations.save(
            replace(open_one, state=ActivationState.ENDED, end_reason="it parked")
        )
    await sweep(70)
    assert run not in pods.workloads
    assert desk.prefect.runs[run].state.name == "Crashed"


async def test_a_workload_that_nobody_knows_is_removed(desk, pods, sweep):
    pods.move("of-another-life", WorkloadPhase.STARTING)
    await sweep(70)
    assert pods.workloads == {}
    (entry,) = await swept(desk)
    assert "no session and no preview knows its flow run" in entry.reason


@pytest.mark.parametrize("phase", [RunPhase.WAITING, RunPhase.RUNNING])
async def test_a_start_that_has_not_claimed_yet_is_left_alone(desk, pods, sweep, phase):
    run = await desk.run()
    desk.prefect.move(run, phase)
    pods.move(run, WorkloadPhase.STARTING)
    await sweep(600)
    assert run in pods.workloads


async def test_what_an_open_activation_runs_in_is_left_alone(desk, pods, sweep):
    held = await desk.start()
    run = await run_of(desk, held.session_id)
    pods.move(run, WorkloadPhase.OVER)
    await sweep(1200)
    assert run in pods.workloads


async def test_what_has_finished_keeps_its_log_for_a_while(desk, pods, sweep):
    run = await desk.run()
    desk.prefect.move(run, RunPhase.FINAL, "Completed")
    pods.move(run, WorkloadPhase.OVER)
    await sweep(890)
    assert run in pods.workloads
    await sweep(20)
    assert run not in pods.workloads


async def test_nothing_is_removed_while_prefect_or_kubernetes_is_away(desk, pods, sweep):
    _, run = await left_behind(desk, pods)
    await sweep(50)
    pods.is_away = True
    with pytest.raises(KubernetesUnavailable):
        await sweep(10)
    pods.is_away, desk.prefect.is_away = False, True
    desk.clock.pass_(10)
    with pytest.raises(PrefectUnavailable):
        await sweep(10)
    assert run in pods.workloads
    desk.prefect.is_away = False
    await sweep(0)
    assert run not in pods.workloads
    assert len(await swept(desk)) == 1
