"""How workloads are asked for: in pages and batches, events only where they are needed, removals once."""

from collections import defaultdict
from dataclasses import dataclass, field

import httpx
import pytest

from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.errors import KubernetesUnavailable
from sidecar.relay.kubernetes.workloads import RUN_LABEL, KubernetesWorkloads
from sidecar.relay.workloads import WorkloadPhase


@dataclass
class Api:
    """Answers lists two objects a page, selected by label as the API server does; refuses what it is told to."""

    objects: dict[str, list[dict]] = field(default_factory=lambda: defaultdict(list))
    asked: list[httpx.Request] = field(default_factory=list)
    delete_status: int = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.method == "DELETE":
            return httpx.Response(
                self.delete_status, json={"kind": "Status", "message": "so it is"}
            )
        query = request.url.params
        found = [
            each
            for each in self.objects[request.url.path.rpartition("/")[2]]
            if "labelSelector" not in query
            or each["metadata"]["labels"][RUN_LABEL] in query["labelSelector"]
        ]
        start = int(query.get("continue", 0))
        more = {"continue": str(start + 2)} if len(found) > start + 2 else {}
        return httpx.Response(200, json={"metadata": more, "items": found[start : start + 2]})

    def add(self, kind, run, **fields):
        name = f"{run}-{len(self.objects[kind])}"
        meta = {"name": name, "uid": f"uid-of-{name}", "labels": {RUN_LABEL: run}}
        self.objects[kind].append({"metadata": meta | fields.pop("metadata", {}), **fields})

    def asked_for(self, kind):
        return [each for each in self.asked if each.url.path.endswith(f"/{kind}")]


@pytest.fixture
def api():
    return Api()


@pytest.fixture
async def workloads(api, tmp_path):
    (tmp_path / "token").write_text("the-relays-own-token\n")
    client = KubernetesApi("https://api.test", tmp_path, transport=httpx.MockTransport(api))
    yield KubernetesWorkloads(client, "x1-sessions")
    await client.aclose()


def ready(phase="Running"):
    return {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]}


async def test_all_pages_are_read(api, workloads):
    runs = [f"run-{number}" for number in range(5)]
    for run in runs:
        api.add("jobs", run, status={"active": 1})
        api.add("pods", run, status=ready())
    found = await workloads.look(runs)
    assert [each.phase for each in found.values()] == [WorkloadPhase.RUNNING] * 5


async def test_many_runs_are_asked_for_in_batches(api, workloads):
    runs = [f"{number:036}" for number in range(120)]
    await workloads.look(runs)
    selectors = [each.url.params["labelSelector"] for each in api.asked_for("pods")]
    assert [each.count(",") + 1 for each in selectors] == [50, 50, 20]


async def test_no_events_are_read_where_all_is_well(api, workloads):
    api.add("jobs", "one", status={"active": 1})
    api.add("pods", "one", status=ready())
    await workloads.look(["one"])
    assert api.asked_for("events") == []


async def test_refusals_are_read_once_for_all_jobs_without_a_pod(api, workloads):
    for run in ("one", "two"):
        api.add("jobs", run, status={})
    api.objects["events"] = [
        {
            "reason": "FailedCreate",
            "message": 'pods "x" is forbidden: exceeded quota: sessions',
            "involvedObject": {"uid": "uid-of-two-1"},
        }
    ]
    found = await workloads.look(["one", "two"])
    assert found["one"].diagnosis is None
    assert "exceeded quota" in found["two"].diagnosis.text
    (asked,) = api.asked_for("events")
    assert asked.url.params["fieldSelector"] == "reason=FailedCreate"


async def test_of_two_pods_of_a_run_the_one_that_lives_counts(api, workloads):
    api.add("jobs", "one", status={"active": 1})
    old, new = (
        {"creationTimestamp": "2026-11-25T10:00:00Z"},
        {"creationTimestamp": "2026-11-25T10:01:00Z"},
    )
    api.add("pods", "one", metadata=old, status=ready())
    api.add("pods", "one", metadata=new, status={"phase": "Failed"})
    assert (await workloads.look(["one"]))["one"].phase is WorkloadPhase.RUNNING


@pytest.mark.parametrize(
    "status",
    [{"failed": 1}, {"succeeded": 1}, {"conditions": [{"type": "Failed", "status": "True"}]}],
)
async def test_a_job_that_ended_is_over_when_its_pod_is_gone(api, workloads, status):
    api.add("jobs", "one", status=status)
    assert (await workloads.look(["one"]))["one"].phase is WorkloadPhase.OVER


async def test_what_went_meanwhile_is_removed_without_a_word(api, workloads):
    api.add("jobs", "one", status={})
    api.delete_status = 404
    assert await workloads.remove("one") == []


async def test_what_is_going_already_is_not_removed_again(api, workloads):
    api.add("jobs", "one", metadata={"deletionTimestamp": "2026-11-25T10:00:00Z"}, status={})
    assert await workloads.remove("one") == []
    assert {each.method for each in api.asked} == {"GET"}


async def test_pods_of_a_job_are_left_to_kubernetes(api, workloads):
    api.add("jobs", "one", status={})
    api.add("pods", "one", metadata={"ownerReferences": [{"kind": "Job"}]}, status=ready())
    assert await workloads.remove("one") == ["Job one-0"]


async def test_a_refusal_to_remove_is_said(api, workloads):
    api.add("jobs", "one", status={})
    api.delete_status = 403
    with pytest.raises(KubernetesUnavailable, match="403"):
        await workloads.remove("one")
