"""What is left of a flow run that completed: Prefect's record of it, and soon no pod.

How soon, `make bench-cluster` measures (within 5 s); here it is told from the 300 s after which Kubernetes would remove it.
"""

from pathlib import Path
from uuid import uuid4

import pytest
from clusters import OPERATIONS, SESSIONS, until
from endings import endings

from sidecar.domain.ids import FlowRunId
from sidecar.relay.prefect_rest import PrefectRest

pytestmark = pytest.mark.timeout(300)
HERE = Path(__file__).parent
MOST_SECONDS = 30.0


@pytest.fixture(scope="module")
def agents(cluster):
    cluster.x1("agents", "apply", str(HERE / "agents"))


@pytest.fixture
async def prefect(cluster):
    made = PrefectRest(f"{cluster.urls['prefect']}/api", cluster.state_dir / "secrets/prefect-auth")
    yield made
    await made.aclose()


async def recorded(prefect, run):
    return (await prefect.states([run]))[run].name


def run_of(cluster, session_id):
    return until(lambda: cluster.session(session_id)["flow_run_id"], "its flow run")


async def test_the_pod_of_a_session_that_ended_is_gone(cluster, agents, prefect):
    with endings(SESSIONS) as gone:
        run = run_of(cluster, cluster.start("hand", "one thing"))
        assert gone.of(run) <= MOST_SECONDS
    assert await recorded(prefect, run) == "Completed"


async def test_the_pod_of_a_session_that_parked_is_gone(cluster, agents, prefect):
    with endings(SESSIONS) as gone:
        session_id = cluster.start("dozer", "hello")
        run = run_of(cluster, session_id)
        assert gone.of(run) <= MOST_SECONDS
    assert await recorded(prefect, run) == "Parked"
    assert cluster.session(session_id)["status"] == "parked"


async def test_the_pod_of_a_session_that_was_cancelled_is_gone(cluster, agents, prefect):
    with endings(SESSIONS) as gone:
        session_id = cluster.start("traveller", "hello")
        cluster.heard(session_id, "heard hello")
        run = run_of(cluster, session_id)
        cluster.post(f"/api/sessions/{session_id}/cancel", {"reason": "enough"})
        assert gone.of(run) <= MOST_SECONDS
    assert await recorded(prefect, run) == "Cancelled"


async def test_the_pod_of_a_preview_flow_that_completed_is_gone(cluster, prefect):
    with endings(OPERATIONS) as gone:
        run = await prefect.start(
            deployment="sweep/previews", parameters={}, name="once", idempotency_key=str(uuid4())
        )
        assert gone.of(FlowRunId(run)) <= MOST_SECONDS
    assert await recorded(prefect, run) == "Completed"
