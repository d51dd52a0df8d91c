"""One installation on the cluster that kubectl points at, for all tests here: made, connected to, removed.

`X1_TEST_KEEP=1` leaves it; one that was there before is used and left, too. Images must have been pushed:
`X1_TEST_IMAGE_PREFIX` and `X1_TEST_IMAGE_TAG` name them.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from belongings import belongings, left_since
from clusters import SESSIONS, SYSTEM, X1, Cluster, connected, images, kubectl, listed, run

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
    # After those with a connection of their own the logins of all others' are void.
    items.sort(key=lambda item: "own_connection" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def installed() -> Iterator[None]:
    kubectl("version", "--request-timeout=10s")
    was_there = bool(listed("namespace", "-l", "app.kubernetes.io/part-of=x1flows"))
    before = belongings()
    run(X1, "cluster", "install", *images(), seconds=900)
    _fit_to_the_test_bed()
    yield
    if not was_there and os.environ.get("X1_TEST_KEEP") != "1":
        run(X1, "cluster", "uninstall", "--yes", seconds=600)
        assert left_since(before) == set(), "an uninstallation leaves nothing"


def _fit_to_the_test_bed() -> None:
    """What an operator does around an installation: nodes are told where images are."""
    bed = os.environ.get("X1_TEST_BED")
    if bed:
        address = kubectl(
            "get", "service", "registry", "-n", SYSTEM, "-o", "jsonpath={.spec.clusterIP}"
        )
        run(bed, "trust", "registry.x1-system.svc:5000", f"http://{address.strip()}:5000")


@pytest.fixture(scope="session")
def cluster(installed: None) -> Iterator[Cluster]:
    with connected() as found:
        yield found


@pytest.fixture
def own_connection(installed: None) -> Iterator[Cluster]:
    """For a test after which earlier logins are void."""
    with connected() as found:
        yield found


@pytest.fixture(scope="session")
def prober(cluster: Cluster) -> str:
    """A session of an agent that looks around in its first step, and then waits."""
    cluster.x1("agents", "apply", str(HERE / "agents"))
    # It may have looked around before, in an earlier run on this installation.
    mark = secrets.token_hex(4)
    session_id = cluster.start("prober", f"Look around {mark}")
    cluster.heard(session_id, f"Look around {mark}: ")
    return session_id


@pytest.fixture(scope="session")
def probers_pod(cluster: Cluster, prober: str) -> str:
    name = cluster.pod(prober)
    kubectl("wait", "-n", SESSIONS, f"pod/{name}", "--for=condition=Ready", "--timeout=110s")
    return name
