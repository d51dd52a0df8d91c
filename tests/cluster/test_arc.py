"""The whole arc on the cluster, as `make demo-cluster` plays it: images, routes, claims and merges are the real ones."""

import os

import pytest
from clusters import SESSIONS, X1, images, listed, run, until

pytestmark = pytest.mark.timeout(1800)
INGRESS = os.environ.get("X1_TEST_INGRESS", "")


@pytest.fixture(scope="module")
def played(installed, tmp_path_factory):
    directory = tmp_path_factory.mktemp("arc") / "s"
    where = ["--ingress", INGRESS] if INGRESS else []
    return run(
        *(X1, "cluster", "demo", "--keep", "--state-dir", str(directory), *images(), *where),
        seconds=1500,  # the arc itself has twenty minutes
    )


def test_the_arc_ends_with_a_preview_that_serves_what_was_merged(played):
    assert "R-1 is done" in played
    assert "R-2 is done" in played
    assert "R-3 is blocked (missing secret SLACK_BOT_TOKEN)" in played
    assert "Prefect run graph" in played


def test_a_finished_arc_leaves_no_session_pod(played):
    """Of its own agents: other tests' sessions may be there."""
    arcs = ("-n", SESSIONS, "-l", "app.kubernetes.io/name in (hirer-orchestrator, hirer-app)")

    def gone() -> bool:
        return not [p for p in listed("pods", *arcs) if p["status"]["phase"] == "Running"]

    until(gone, "the end of all session pods")
