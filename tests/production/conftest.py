"""The overlay `production`, installed as a team does it, where nothing is installed: made, tried, removed.

Beside tests/cluster, as it needs a cluster without an installation, and about two cores to itself:
`make test-cluster TESTS=tests/production`. The environment is that of tests/cluster.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from belongings import belongings, left_since
from clusters import X1, Cluster, connected, kubectl, run
from team_outside import Team, team
from team_settings import write_settings

from infra.cluster.kubectl import Kubectl
from infra.cluster.rendering import installed as what_stands

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def outside() -> Iterator[Team]:
    kubectl("version", "--request-timeout=10s")
    if found := what_stands(Kubectl()):
        pytest.exit(
            f"expected a cluster without an installation, found one of the overlay {found.overlay}; "
            "x1 cluster uninstall removes it with all its data",
            returncode=2,
        )
    with team() as made:
        yield made


@pytest.fixture(scope="session")
def settings(outside: Team, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What it was installed with; at the end nothing is left of it."""
    before, began = belongings(), time.monotonic()
    file = write_settings(outside, tmp_path_factory.mktemp("settings"))
    try:
        run(X1, "cluster", "install", "--settings", str(file), seconds=900)
        print(f"installed in {time.monotonic() - began:.0f} s")  # noqa: T201 - what the run is read for
        outside.start_registry()
        outside.show_pages()
        yield file
    finally:
        began = time.monotonic()
        run(X1, "cluster", "uninstall", "--yes", seconds=600)
        print(f"removed in {time.monotonic() - began:.0f} s")  # noqa: T201 - as above
    assert left_since(before) == set(), "an uninstallation leaves nothing"


@pytest.fixture(scope="session")
def cluster(outside: Team, settings: Path) -> Iterator[Cluster]:
    with connected() as found:
        outside.introduce_forge(found)
        yield found
