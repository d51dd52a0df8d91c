"""When an installation runs its Job: at first, when something of it changed, and when it did not complete."""

import json

import pytest

from infra.cluster import jobs
from infra.local.errors import AskedFailed

JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "installer", "namespace": "x1-system"},
    "spec": {"template": {"spec": {"containers": [{"image": "x1/control:1"}]}}},
}


class Cluster:
    """Runs a Job at once, to the end that is set; `runs` counts."""

    def __init__(self):
        self.job, self.runs, self.end = None, 0, "Complete"

    def get(self, kind, name, namespace):
        return self.job

    def must(self, *words):
        assert words[:2] == ("delete", "job")
        self.job = None

    def apply(self, text):
        assert self.job is None
        self.runs += 1
        status = {"conditions": [{"type": self.end, "status": "True"}]}
        self.job = {**json.loads(text), "status": status}

    def run(self, *words):
        return type("Said", (), {"stdout": "no Prefect", "stderr": ""})


def install(cluster, job=JOB, does="pools"):
    return jobs.ensure(cluster, job, does, lambda _: None)


def test_a_second_installation_leaves_the_job_that_has_completed():
    cluster = Cluster()
    assert install(cluster)
    assert not install(cluster)
    assert cluster.runs == 1


def test_what_it_is_or_what_it_depends_on_makes_it_run_anew():
    cluster = Cluster()
    install(cluster)
    changed = json.loads(json.dumps(JOB).replace("control:1", "control:2"))
    assert install(cluster, changed)
    assert install(cluster, changed, does="other pools")
    assert not install(cluster, changed, does="other pools")


def test_a_job_that_failed_runs_again():
    cluster = Cluster()
    cluster.end = "Failed"
    with pytest.raises(AskedFailed, match="no Prefect"):
        install(cluster)
    cluster.end = "Complete"
    assert install(cluster)
