"""The supervisor with real components: those that start in a second stand for all."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pids import is_gone

from infra.local import processes
from infra.local.components import postgres
from infra.local.state import StateDir

pytestmark = pytest.mark.real

X1 = (sys.executable, "-c", "from infra.local.cli import main; main()")
COMPONENTS = ("postgres", "nats", "proxy")
WAIT_SECONDS = 120


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    directory = StateDir(root=tmp_path_factory.mktemp("x1"))
    yield directory
    x1(directory, "down")
    assert left_over(directory) == []


@pytest.fixture
def up(state):
    """The stack is up, whatever the test before did to it."""
    done = x1(state, "up", *(word for name in COMPONENTS for word in ("--only", name)))
    assert done.returncode == 0, done.stderr
    return state


def x1(state, *words):
    environment = {**os.environ, "X1_STATE_DIR": str(state.root)}
    return subprocess.run(
        [*X1, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


def status(state):
    return json.loads(x1(state, "status", "--json").stdout)


def pids(state):
    return {item["name"]: item["pid"] for item in status(state)["components"]}


def left_over(state):
    return processes.leftovers(state, state.run("id").read_text().strip())


def until(condition):
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.05)


def test_up_again_leaves_a_running_stack_as_it_is(up):
    before = pids(up)
    again = x1(up, "up")
    assert again.returncode == 0
    assert pids(up) == before
    assert set(before) == set(COMPONENTS)


def test_status_says_what_protocol_promises(up):
    shown = status(up)
    assert {"state_dir", "components", "urls", "operator_token_file"} <= set(shown)
    assert {"name", "state", "pid", "url", "log"} <= set(shown["components"][0])
    assert {"relay", "prefect", "forge", "previews", "nats"} == set(shown["urls"])
    assert Path(shown["operator_token_file"]).read_text()


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_killed_component_is_started_again(up, name):
    killed = pids(up)[name]
    os.kill(killed, signal.SIGKILL)

    def is_back():
        component = next(item for item in status(up)["components"] if item["name"] == name)
        return component["state"] == "ready" and component["pid"] != killed

    until(is_back)


def test_down_leaves_nothing_and_up_keeps_ports_and_data(up):
    urls = status(up)["urls"]
    down = x1(up, "down")
    assert down.returncode == 0
    assert left_over(up) == []
    assert x1(up, "status").returncode == 3
    again = x1(up, "up", "--only", "nats")
    assert again.returncode == 0
    assert status(up)["urls"] == urls
    x1(up, "down")


def test_down_ends_what_a_killed_supervisor_left(up):
    supervisor = int(up.run("lock").read_text())
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: is_gone(supervisor))
    assert len(left_over(up)) >= len(COMPONENTS)
    done = x1(up, "down")
    assert done.returncode == 0
    assert "left-over" in done.stderr
    assert left_over(up) == []


def test_up_after_a_killed_supervisor_starts_one_set_of_components(up):
    before = pids(up)
    supervisor = int(up.run("lock").read_text())
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: is_gone(supervisor))
    again = x1(up, "up", *(word for name in COMPONENTS for word in ("--only", name)))
    assert again.returncode == 0, again.stderr
    assert set(pids(up).values()).isdisjoint(before.values())
    assert all(is_gone(pid) for pid in before.values())


def test_up_while_the_stack_goes_down_starts_it_again(up):
    down = subprocess.Popen([*X1, "down"], env={**os.environ, "X1_STATE_DIR": str(up.root)})
    until(lambda: status(up)["phase"] != "ready")
    again = x1(up, "up", *(word for name in COMPONENTS for word in ("--only", name)))
    assert down.wait(WAIT_SECONDS) == 0
    assert again.returncode == 0, again.stderr


def test_a_port_that_was_taken_meanwhile_is_chosen_anew_and_told(state):
    x1(state, "down")
    state.create()
    ports = json.loads(state.run("ports.json").read_text())
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections linger
        other.bind(("127.0.0.1", ports["nats"]))
        other.listen()
        done = x1(state, "up", "--only", "nats")
    assert done.returncode == 0, done.stderr
    assert f"port {ports['nats']} is taken by another program: nats moves to" in done.stderr
    assert not status(state)["urls"]["nats"].endswith(f":{ports['nats']}")


def test_ctrl_c_on_a_foreground_stack_leaves_nothing(state):
    x1(state, "down")
    environment = {**os.environ, "X1_STATE_DIR": str(state.root)}
    running = subprocess.Popen(
        [*X1, "up", "--foreground", "--only", "nats", "--only", "postgres"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("ready in"):
            break
    running.send_signal(signal.SIGINT)
    with running.stderr:
        assert "stopped" in running.stderr.read()
    assert running.wait(WAIT_SECONDS) == 0
    assert left_over(state) == []


def test_what_cannot_start_says_why_and_leaves_nothing(state):
    x1(state, "down")
    store = state.part("nats") / "jetstream"
    moved = store.rename(store.with_name("kept")) if store.exists() else None
    store.write_text("a file where a directory must be")
    done = x1(state, "up", "--only", "nats")
    store.unlink()
    if moved:
        moved.rename(store)
    assert done.returncode == 3
    assert done.stderr.count("x1: nats cannot start") == 1
    assert str(state.log("nats")) in done.stderr
    assert left_over(state) == []


def test_an_unknown_component_is_wrong_usage(state):
    done = x1(state, "up", "--only", "nonsense")
    assert done.returncode == 2, done.stderr
    assert "unknown component nonsense" in done.stderr


def test_postgres_finds_its_programs_below_a_directory_that_is_its_owners_alone(tmp_path):
    """As root, PostgreSQL runs as somebody else: access(2) is what its initdb asks."""
    program = tmp_path / "private" / "program"
    program.parent.mkdir(mode=0o700)
    program.write_text("")
    program.chmod(0o700)
    code = "import os, sys; sys.exit(not os.access(sys.argv[1], os.R_OK))"
    words = (*postgres.as_other_user(), sys.executable, "-c", code, str(program))
    assert subprocess.run(words, check=False).returncode == 0
