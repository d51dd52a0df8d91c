"""What a process loads is part of its promise: a sidecar has no Prefect, no database, no Kubernetes."""

import subprocess
import sys

import pytest

HEAVY = ("prefect", "sqlalchemy", "kubernetes", "psycopg", "alembic")


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module", ["sidecar.pod.main", "sidecar.pod.app", "sidecar.scripted.agent"]
)
def test_a_pod_loads_neither_prefect_nor_a_database(module):
    assert loaded_by(module).isdisjoint(HEAVY)


def test_a_script_is_played_without_pydantic():
    assert loaded_by("sidecar.scripted.player").isdisjoint({*HEAVY, "pydantic", "mcp", "httpx"})


@pytest.mark.parametrize("module", ["tasks.session.pod", "tasks.session.workspace", "flows.launch"])
def test_what_runs_before_prefect_does_not_load_it(module):
    assert "prefect" not in loaded_by(module)


def test_the_relay_loads_no_prefect():
    assert "prefect" not in loaded_by("sidecar.relay.app")
