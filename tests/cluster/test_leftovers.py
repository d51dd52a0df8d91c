"""What is left in the cluster when sessions have ended and previews were let go: nothing. And who finds orphans.

Both ways: objects whose session or preview nobody knows are removed; previews and sessions whose objects somebody
removed by hand are there again. Each is written down.
"""

import json
import time
from uuid import uuid4

import pytest
from clusters import SESSIONS, kubectl, listed, until
from inventory import appeared, inventory
from prefects import Prefect
from shops import PREVIEWS, hired, left_of

pytestmark = pytest.mark.timeout(1200)
BUILDS = "x1-builds"
KEPT_SECONDS = 480
"""What has ended may be read for 300 s, until Kubernetes takes it away."""
STRANGERS_SECONDS = 180
"""The relay watches a workload that nobody knows for a minute before it removes it."""


@pytest.fixture(scope="module")
def prefect(cluster):
    with Prefect.of(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def before(cluster):
    """Asked before anything here begins."""
    return inventory()


@pytest.fixture(scope="module")
def shopkeeper(cluster, before):
    with hired(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def shop(shopkeeper):
    return shopkeeper.opened("plain")


def audited(cluster, **wanted):
    """The newest row of the audit that says so."""
    rows = cluster.get("/api/audit", limit=500)["audit"]
    return next((each for each in rows if wanted.items() <= each.items()), None)


def owned(kind, name, preview_id, spec):
    """As a preview's object is labelled."""
    labels = {
        "app.kubernetes.io/part-of": "x1flows",
        "app.kubernetes.io/component": "preview",
        "x1flows.io/role": "app",
        "x1flows.io/preview": preview_id,
        "x1flows.io/workspace": "default",
    }
    group = {"NetworkPolicy": "networking.k8s.io/v1", "Deployment": "apps/v1"}.get(kind, "v1")
    metadata = {"name": name, "namespace": PREVIEWS, "labels": labels}
    return {"apiVersion": group, "kind": kind, "metadata": metadata, **spec}


def test_objects_of_a_preview_that_nobody_knows_are_removed_and_it_is_said(cluster, prefect):
    stranger, name = str(uuid4()), f"stranger-{uuid4().hex[:8]}"
    pods = {"matchLabels": {"app": name}}
    empty = {"replicas": 0, "selector": pods}
    container = {"name": "none", "image": "busybox"}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    planted = [
        owned("Secret", name, stranger, {"stringData": {"key": "value"}}),
        owned("ConfigMap", name, stranger, {"data": {"key": "value"}}),
        owned("Service", name, stranger, {"spec": {"ports": [{"port": 80}]}}),
        owned("Deployment", name, stranger, {"spec": {**empty, "template": template}}),
        owned("NetworkPolicy", name, stranger, {"spec": {"podSelector": pods}}),
    ]
    kubectl(
        "apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": planted})
    )
    said = prefect.swept()
    assert stranger in said
    kinds = "secret,configmap,service,deployment,networkpolicy"
    label = f"x1flows.io/preview={stranger}"
    until(
        lambda: not kubectl("get", kinds, "-n", PREVIEWS, "-l", label, "-o", "name").split(),
        "the removal of the stranger",
    )
    row = audited(cluster, action="preview.remove", target=stranger)
    assert (row["actor"], row["reason"]) == ("relay:sweep", "no ledger knows this preview")


def test_a_workload_of_a_session_that_nobody_knows_is_removed_and_it_is_said(cluster):
    run, name = str(uuid4()), f"stranger-{uuid4().hex[:8]}"
    labels = {"prefect.io/flow-run-id": run, "app.kubernetes.io/component": "session"}
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 10003,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "prefect-job",
        "image": "busybox",
        "command": ["sh", "-c", "trap exit TERM; sleep 600 & wait"],
        "securityContext": restricted,
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": SESSIONS, "labels": labels},
        "spec": {
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [container],
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                },
            }
        },
    }
    kubectl("apply", "-f", "-", given=json.dumps(job))

    def left():
        selector = f"prefect.io/flow-run-id={run}"
        return kubectl("get", "job,pod", "-n", SESSIONS, "-l", selector, "-o", "name").split()

    assert left()
    until(lambda: not left(), "the removal of the stranger", STRANGERS_SECONDS)
    row = audited(cluster, action="sweep", target=f"Job {name}")
    assert row["details"]["flow_run_id"] == run
    assert "no session and no preview knows its flow run" in row["reason"]


def test_a_build_for_which_no_operation_waits_is_removed_and_it_is_said(cluster, prefect):
    """Suspended, as one whose run was killed before it began: such a Job never ends of itself."""
    operation, name = str(uuid4()), f"build-{uuid4().hex[:12]}"
    labels = {"app.kubernetes.io/part-of": "x1flows", "app.kubernetes.io/name": "build"}
    notes = {"x1flows.io/operation": operation}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": BUILDS, "labels": labels, "annotations": notes},
        "spec": {
            "suspend": True,
            "template": {
                "spec": {
                    "containers": [{"name": "build", "image": "busybox"}],
                    "restartPolicy": "Never",
                }
            },
        },
    }
    made = json.loads(kubectl("create", "-f", "-", "-o", "json", given=json.dumps(job)))
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": made["metadata"]["uid"]}
    meta = {"name": name, "namespace": BUILDS, "labels": labels, "ownerReferences": [owner]}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"a": "b"}}
    kubectl("create", "-f", "-", given=json.dumps(secret))
    assert operation in prefect.swept()
    words = ("-n", BUILDS, f"--field-selector=metadata.name={name}", "-o", "name")
    until(lambda: not kubectl("get", "jobs,secrets", *words).split(), "the build's removal")
    row = audited(cluster, action="build.remove", target=operation)
    assert (row["actor"], row["reason"]) == ("relay:sweep", "no operation waits for this build")


def test_a_preview_whose_objects_were_removed_by_hand_is_there_again_and_it_is_said(
    cluster, prefect, shopkeeper, shop
):
    kubectl(
        *("delete", "deployment,service,httproute,ingress", "-n", PREVIEWS),
        *("-l", f"x1flows.io/preview={shop.preview_id}"),
    )
    said = prefect.swept()
    assert f"deploying again {shop.preview_id}" in said
    shopkeeper.ready(shop)
    row = audited(cluster, action="preview.deploy", actor="relay:sweep", target=shop.branch)
    assert row["reason"] == f"{shop.revision[:8]} was not in the cluster any more"
    assert shopkeeper.visited(shop.url).startswith(f"200 {shop.revision} ")


def test_a_session_whose_workload_was_removed_by_hand_goes_on(cluster, shopkeeper):
    lost = cluster.session(shopkeeper.session_id)
    pod = cluster.pods(shopkeeper.session_id)[-1]
    job = pod["metadata"]["labels"]["job-name"]
    kubectl("delete", "job", "-n", SESSIONS, job, "--cascade=foreground")
    cluster.say(shopkeeper.session_id, f"and after {job}")
    cluster.heard(shopkeeper.session_id, f"heard and after {job}", 240)
    found = cluster.session(shopkeeper.session_id)
    assert found["activation_id"] != lost["activation_id"]
    assert found["generation"] > lost["generation"]


def test_after_release_end_and_sweep_nothing_of_it_is_left(
    cluster, before, prefect, shopkeeper, shop
):
    """What an ended Job's time to live still keeps is waited for; it runs nothing meanwhile."""
    built = shopkeeper.opened("plain")
    for each in (shop, built):
        assert left_of(each), "the control: there is something to remove"
        shopkeeper.close(each)
        until(lambda shop=each: not left_of(shop), f"the removal of {each.name}")
    shopkeeper.end()
    assert "removed" not in prefect.swept()

    def running():
        return [
            each["metadata"]["name"]
            for each in listed("pods", "-n", SESSIONS)
            if each["status"]["phase"] in {"Pending", "Running"}
            and ("x1-sessions", "Pod", each["metadata"]["name"]) not in before
        ]

    until(lambda: not running(), "the end of every session's pod", 60)
    assert last_of(before) == []


def last_of(before):
    """What is still new when everything that is kept for a while has had its time; empty as soon as nothing is."""
    deadline = time.monotonic() + KEPT_SECONDS
    while (new := appeared(before)) and time.monotonic() < deadline:
        time.sleep(5)
    return new
