"""Tidying: what completed is removed at once, and never before Prefect knows its end."""

from dataclasses import replace

import pytest

from sidecar.domain.errors import KubernetesUnavailable, PrefectUnavailable
from sidecar.domain.pod_diagnosis import Diagnosis
from sidecar.relay.kubernetes.memory import MemoryWorkloads
from sidecar.relay.loops.tidier import tidy
from sidecar.relay.prefect import RunPhase
from sidecar.relay.workloads import WorkloadPhase

FAILED = Diagnosis(text="container prefect-job exited with code 1", is_temporary=False)


@pytest.fixture
def pods(desk):
    made = MemoryWorkloads()
    desk.services = replace(desk.services, workloads=made)
    return made


@pytest.mark.parametrize(
    ("phase", "name"),
    [
        (RunPhase.FINAL, "Completed"),
        (RunPhase.FINAL, "Parked"),
        (RunPhase.FINAL, "Failed"),
        (RunPhase.CANCELLED, "Cancelled"),
    ],
)
async def test_a_run_that_told_prefect_its_end_leaves_no_workload(desk, pods, phase, name):
    run = await desk.run()
    desk.prefect.move(run, phase, name)
    pods.move(run, WorkloadPhase.OVER)
    await tidy(desk.services)
    assert pods.workloads == {}
    assert desk.prefect.runs[run].state.name == name


@pytest.mark.parametrize(
    ("phase", "name"), [(RunPhase.RUNNING, "Running"), (RunPhase.CANCELLED, "Cancelling")]
)
async def test_a_workload_stays_until_prefect_knows_its_end(desk, pods, phase, name):
    run = await desk.run()
    desk.prefect.move(run, phase, name)
    pods.move(run, WorkloadPhase.OVER)
    await tidy(desk.services)
    assert run in pods.workloads
    desk.prefect.move(run, RunPhase.FINAL, "Completed")
    await tidy(desk.services)
    assert run not in pods.workloads


async def test_what_failed_or_runs_is_left_to_who_reads_why(desk, pods):
    runs = [await desk.run(), await desk.run()]
    for run in runs:
        desk.prefect.move(run, RunPhase.FINAL, "Crashed")
    pods.move(runs[0], WorkloadPhase.OVER, FAILED)
    pods.move(runs[1], WorkloadPhase.RUNNING)
    await tidy(desk.services)
    assert set(pods.workloads) == set(runs)


async def test_nothing_is_removed_while_prefect_or_kubernetes_is_away(desk, pods):
    run = await desk.run()
    desk.prefect.move(run, RunPhase.FINAL, "Completed")
    pods.move(run, WorkloadPhase.OVER)
    pods.is_away = True
    with pytest.raises(KubernetesUnavailable):
        await tidy(desk.services)
    pods.is_away, desk.prefect.is_away = False, True
    with pytest.raises(PrefectUnavailable):
        await tidy(desk.services)
    assert run in pods.workloads
