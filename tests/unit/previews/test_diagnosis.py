"""Why a revision is not up: told in full to its author, and not in what Prefect shows."""

import traceback

import pytest
from kubernetes_objects import KubernetesObjects

from tasks.previews.errors import NotProven
from tasks.previews.kubernetes.namespace import Namespace
from tasks.previews.kubernetes.readiness import await_ready

CANARY = "canary-of-the-app"
WORKLOAD = {
    "kind": "Deployment",
    "metadata": {"name": "web", "generation": 1, "labels": {}},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}},
}
CRASHED = {
    "kind": "Pod",
    "metadata": {"name": "web-1", "labels": {"app": "web"}, "creationTimestamp": "2026-01-01"},
    "spec": {"containers": [{"name": "web"}]},
    "status": {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "web",
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 3, "message": CANARY}},
            }
        ],
    },
}


@pytest.fixture
def cluster():
    return KubernetesObjects()


def shown(error):
    """As a task's state, its log and a traceback have it."""
    return f"{error}{error!r}{''.join(traceback.format_exception(error))}"


async def test_an_apps_last_words_are_for_its_author_alone(cluster, tmp_path):
    cluster.held = {
        "/apis/apps/v1/namespaces/n/deployments/web": WORKLOAD,
        "/api/v1/namespaces/n/pods/web-1": CRASHED,
    }
    with pytest.raises(NotProven) as failed:
        await await_ready(
            Namespace(cluster.api(tmp_path), "n", "HTTPRoute"), "Deployment", "web", 0
        )
    assert CANARY in failed.value.diagnosis
    assert "exited with code 3" in failed.value.diagnosis
    assert CANARY not in shown(failed.value)


async def test_what_a_refusal_quotes_is_for_its_author_alone(cluster, tmp_path):
    cluster.refusal = f"Invalid value: {CANARY}"
    with pytest.raises(NotProven) as failed:
        await Namespace(cluster.api(tmp_path), "n", "HTTPRoute").apply(WORKLOAD)
    assert CANARY in failed.value.diagnosis
    assert CANARY not in shown(failed.value)
