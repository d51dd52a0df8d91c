"""Why a pod does not run, told from the JSON that clusters really answer with."""

import pytest

from sidecar.domain.pod_diagnosis import Cause, diagnose

UID = "0f5c2b1e-6a53-4a0e-9f57-2a60b3c9a111"


def pod(phase="Pending", *, conditions=(), main=(), init=(), specs=None, **status):
    """`specs` {name: more of that container's spec}; native sidecars are those of `init` with restartPolicy."""
    specs = specs or {}

    def spec(each):
        return {"name": each["name"], "image": each["image"], **specs.get(each["name"], {})}

    return {
        "metadata": {"name": "worker-7x", "uid": UID},
        "spec": {
            "initContainers": [spec(each) for each in init],
            "containers": [spec(each) for each in main],
        },
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "initContainerStatuses": list(init),
            "containerStatuses": list(main),
            **status,
        },
    }


def container(name="app", *, state, last=None, restarts=0, ready=False, image="x1/app:1"):
    return {
        "name": name,
        "image": image,
        "ready": ready,
        "restartCount": restarts,
        "state": state,
        "lastState": last or {},
    }


def waiting(reason, message=None):
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def terminated(code, reason="Error", message=None):
    said = {"message": message} if message else {}
    return {"terminated": {"exitCode": code, "reason": reason, **said}}


RUNNING = {"running": {"startedAt": "2026-11-25T10:00:00Z"}}


def event(reason, message, *, container=None, at="2026-11-25T10:00:00Z", uid=UID, count=1):
    path = {"fieldPath": f"spec.containers{{{container}}}"} if container else {}
    return {
        "kind": "Event",
        "type": "Warning",
        "reason": reason,
        "message": message,
        "count": count,
        "lastTimestamp": at,
        "eventTime": None,
        "involvedObject": {"kind": "Pod", "name": "worker-7x", "uid": uid, **path},
    }


def refused(message):
    return diagnose(None, events=[event("FailedCreate", message, uid="of-the-job")])


def test_a_pod_that_no_node_has_room_for_waits_for_capacity():
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available.",
    }
    found = diagnose(pod(conditions=[condition]), events=[])
    assert found.cause is Cause.CAPACITY
    assert found.is_temporary
    assert "no node takes it: 0/1 nodes are available: 1 Insufficient memory." in found.text


def test_a_quota_that_is_used_up_is_said_with_its_numbers():
    found = refused(
        'Error creating: pods "worker-7x-k2j" is forbidden: exceeded quota: sessions, requested: '
        "pods=1, used: pods=40, limited: pods=40"
    )
    assert found.cause is Cause.QUOTA
    assert found.is_temporary
    assert "requested: pods=1, used: pods=40, limited: pods=40" in found.text
    assert "worker-7x-k2j" not in found.text


@pytest.mark.parametrize(
    "message",
    [
        'Error creating: pods "a" is forbidden: failed quota: q: must specify limits.memory for: app',
        'Error creating: pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot',
        'Error creating: pods "a" is forbidden: maximum memory usage per Container is 16Gi',
        (
            'Error creating: pods "a" is forbidden: error looking up service account s/x: '
            'serviceaccount "x" not found'
        ),
    ],
)
def test_a_pod_that_no_waiting_makes_allowed_is_refused_for_good(message):
    found = refused(message)
    assert found.cause is Cause.OTHER
    assert not found.is_temporary
    assert message.partition("is forbidden: ")[2] in found.text


def test_a_webhook_that_does_not_answer_is_waited_for():
    found = refused("Error creating: Internal error occurred: failed calling webhook: timeout")
    assert found.is_temporary
    assert "failed calling webhook" in found.text


def test_a_workload_without_pod_and_without_refusal_is_on_its_way():
    assert diagnose(None, events=[]) is None
    assert diagnose(None, events=[event("SuccessfulCreate", "Created pod: worker-7x")]) is None


def test_an_image_that_is_not_there_is_named_with_the_registrys_words():
    state = waiting(
        "ErrImagePull",
        'failed to pull and unpack image "docker.io/x1/app:1": docker.io/x1/app:1: not found',
    )
    found = diagnose(pod(main=[container(state=state)]), events=[])
    assert found.text.startswith("container app: image x1/app:1 cannot be pulled (ErrImagePull): ")
    assert "not found" in found.text
    assert not found.is_temporary


def test_a_back_off_that_says_nothing_is_told_by_the_event_of_the_last_pull():
    state = waiting("ImagePullBackOff", 'Back-off pulling image "x1/app:1"')
    events = [
        event("Failed", "Error: ImagePullBackOff", container="app", at="2026-11-25T10:00:09Z"),
        event(
            "Failed",
            'Failed to pull image "x1/app:1": dial tcp 10.96.0.9:5000: i/o timeout',
            container="app",
        ),
        event("Failed", 'Failed to pull image "other": not found', container="other"),
    ]
    found = diagnose(pod(main=[container(state=state)]), events=events)
    assert "i/o timeout" in found.text
    assert found.is_temporary


def test_an_image_name_that_is_none_stays_wrong():
    state = waiting("InvalidImageName", 'Failed to apply default image tag "A b": invalid format')
    found = diagnose(pod(main=[container(state=state, image="A b")]), events=[])
    assert "image A b cannot be pulled (InvalidImageName)" in found.text
    assert not found.is_temporary


def test_a_missing_secret_is_named():
    state = waiting("CreateContainerConfigError", 'secret "stripe" not found')
    found = diagnose(pod(main=[container(state=state)]), events=[])
    assert found.text == (
        'container app cannot be created (CreateContainerConfigError): secret "stripe" not found'
    )
    assert not found.is_temporary


def test_a_crash_loop_is_told_with_exit_code_count_and_last_words():
    one = container(
        state=waiting("CrashLoopBackOff", "back-off 20s restarting failed container"),
        last=terminated(3, message="no module named app"),
        restarts=2,
    )
    found = diagnose(pod("Running", main=[one]), events=[])
    assert found.text == "container app exited with code 3, 3 times, saying: no module named app"
    assert not found.is_temporary


def test_a_crash_loop_of_a_failing_liveness_probe_says_so():
    one = container(state=waiting("CrashLoopBackOff"), last=terminated(137, "Error"), restarts=4)
    said = "Liveness probe failed: HTTP probe failed with statuscode: 500"
    found = diagnose(pod("Running", main=[one]), events=[event("Unhealthy", said, container="app")])
    assert "exited with code 137, 5 times" in found.text
    assert said in found.text


@pytest.mark.parametrize(
    "status",
    [
        {"state": waiting("CrashLoopBackOff"), "last": terminated(137, "OOMKilled")},
        {"state": terminated(137, "OOMKilled")},
        {"state": RUNNING, "last": terminated(137, "OOMKilled"), "restarts": 1},
    ],
)
def test_memory_that_ran_out_is_told_with_the_limit(status):
    limits = {"app": {"resources": {"limits": {"memory": "64Mi"}}}}
    found = diagnose(pod("Running", main=[container(**status)], specs=limits), events=[])
    assert "was killed for using more memory than its limit of 64Mi (OOMKilled)" in found.text
    assert not found.is_temporary


def test_a_pod_that_runs_and_fails_its_probe_says_what_the_probe_saw():
    events = [
        event("Unhealthy", "Readiness probe failed: connection refused", container="app"),
        event(
            "Unhealthy",
            "Readiness probe failed: HTTP probe failed with statuscode: 503",
            container="app",
            at="2026-11-25T10:00:05Z",
        ),
    ]
    found = diagnose(pod("Running", main=[container(state=RUNNING)]), events=events)
    assert found.text == (
        "container app runs, but is not ready: "
        "Readiness probe failed: HTTP probe failed with statuscode: 503"
    )


def test_old_probe_failures_of_a_ready_container_are_history():
    events = [event("Unhealthy", "Readiness probe failed", container="app")]
    ready = container(state=RUNNING, ready=True)
    assert diagnose(pod("Running", main=[ready]), events=events) is None


@pytest.mark.parametrize(
    "message",
    [
        "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi",
        "Pod ephemeral local storage usage exceeds the total limit of containers 50Mi.",
    ],
)
def test_an_evicted_pod_says_why(message):
    ended = container(state=terminated(137))
    found = diagnose(pod("Failed", reason="Evicted", message=message, main=[ended]), events=[])
    assert found.text == f"it was evicted: {message}"
    assert found.cause is Cause.LOST
    assert found.is_temporary


def test_an_eviction_by_the_api_is_seen_while_the_pod_still_runs():
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    running = container(state=RUNNING, ready=True)
    found = diagnose(pod("Running", conditions=[condition], main=[running]), events=[])
    assert found.text == "it was evicted: Eviction API: evicting"


def test_a_node_that_refuses_what_was_placed_on_it_has_no_room():
    said = "Pod was rejected: Node didn't have enough resource: memory"
    found = diagnose(pod("Failed", reason="OutOfmemory", message=said), events=[])
    assert found.cause is Cause.CAPACITY
    assert said in found.text


def test_a_lost_node_is_said_before_what_its_containers_last_were():
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
    }
    running = container(state=RUNNING, ready=True)
    for lost in (
        diagnose(pod("Running", conditions=[condition], main=[running]), events=[]),
        diagnose(pod("Unknown", reason="NodeLost", main=[running]), events=[]),
        diagnose(
            pod("Running", conditions=[{"type": "Ready", "status": "False"}], main=[running]),
            events=[event("NodeNotReady", "Node is not ready")],
        ),
    ):
        assert lost.text.startswith("its node does not answer any more")
        assert lost.cause is Cause.LOST
        assert lost.is_temporary


def test_a_node_that_came_back_is_no_trouble():
    running = container(state=RUNNING, ready=True)
    whole = pod("Running", conditions=[{"type": "Ready", "status": "True"}], main=[running])
    assert diagnose(whole, events=[event("NodeNotReady", "Node is not ready")]) is None


def test_a_sidecar_that_does_not_start_is_told_like_any_other():
    sidecar = container("agent", state=waiting("ErrImagePull", "x: not found"), image="x1/agent:9")
    flow = container("prefect-job", state=waiting("PodInitializing"))
    whole = pod(init=[sidecar], main=[flow], specs={"agent": {"restartPolicy": "Always"}})
    found = diagnose(whole, events=[])
    assert found.text.startswith("container agent: image x1/agent:9 cannot be pulled")


def test_an_init_container_that_failed_is_told():
    init = container("migrate", state=terminated(2, message="relation exists"))
    found = diagnose(pod("Failed", init=[init]), events=[])
    assert found.text == "container migrate exited with code 2, saying: relation exists"


def test_sidecars_that_were_told_to_end_are_not_why_a_pod_failed():
    sidecar = container("sidecar", state=terminated(143))
    flow = container("prefect-job", state=terminated(1))
    whole = pod(
        "Failed", init=[sidecar], main=[flow], specs={"sidecar": {"restartPolicy": "Always"}}
    )
    assert diagnose(whole, events=[]).text == "container prefect-job exited with code 1"


def test_a_sidecar_whose_memory_ran_out_is_why_its_pod_failed():
    sidecar = container("sidecar", state=terminated(143), last=terminated(137, "OOMKilled"))
    flow = container("prefect-job", state=terminated(1))
    specs = {"sidecar": {"restartPolicy": "Always"}}
    told = diagnose(pod("Failed", init=[sidecar], main=[flow], specs=specs), events=[]).text
    assert told.startswith("container sidecar was killed for using more memory")


def test_a_volume_that_cannot_be_mounted_is_told():
    said = 'MountVolume.SetUp failed for volume "login" : secret "x1-prefect-client" not found'
    starting = container(state=waiting("ContainerCreating"))
    found = diagnose(pod(main=[starting]), events=[event("FailedMount", said)])
    assert found.text == f"a volume cannot be mounted: {said}"
    assert not found.is_temporary


def test_two_troubles_are_both_told():
    states = [waiting("ErrImagePull", "x: not found"), waiting("ErrImagePull", "x: i/o timeout")]
    both = [container(name, state=state) for name, state in zip("ab", states, strict=True)]
    found = diagnose(pod(main=both), events=[])
    assert "container a:" in found.text
    assert "container b:" in found.text
    assert not found.is_temporary


def test_events_of_another_pod_with_the_same_name_do_not_count():
    starting = container(state=waiting("ContainerCreating"))
    other = event("FailedMount", "MountVolume.SetUp failed", uid="another")
    assert diagnose(pod(main=[starting]), events=[other]) is None


@pytest.mark.parametrize(
    "whole",
    [
        {},
        pod("Pending"),
        pod("Pending", main=[container(state=waiting("ContainerCreating"))]),
        pod("Running", main=[container(state=RUNNING, ready=True)]),
        pod("Succeeded", main=[container(state=terminated(0, "Completed"))]),
    ],
)
def test_a_pod_that_runs_succeeded_or_is_on_its_way_has_no_diagnosis(whole):
    assert diagnose(whole, events=[]) is None
