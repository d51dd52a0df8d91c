import fcntl
import os
import socket
import stat
import threading

import pytest

from infra.local import disk, lock, ports, secrets
from infra.local.errors import NotThere, StackIsUp
from infra.local.stack import base_environment, identity
from infra.local.state import LONGEST_SOCKET_DIRECTORY, StateDir


@pytest.fixture
def state(tmp_path):
    directory = StateDir(root=tmp_path / "state")
    directory.create()
    return directory


def test_the_given_directory_wins_over_the_environments_over_the_default(tmp_path):
    environment = {"X1_STATE_DIR": "/named", "XDG_STATE_HOME": "/xdg"}
    assert StateDir.of(environment, tmp_path).root == tmp_path
    assert str(StateDir.of(environment).root) == "/named"
    assert str(StateDir.of({"XDG_STATE_HOME": "/xdg"}).root) == "/xdg/x1flows"


def test_nobody_else_may_enter_the_state_directory(state):
    for path in (state.root, *(child for child in state.root.iterdir())):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_sockets_of_a_long_state_directory_go_to_a_short_one(tmp_path):
    long = StateDir(root=tmp_path / ("x" * LONGEST_SOCKET_DIRECTORY))
    long.create()
    socket_path = long.socket("caddy.sock")
    assert len(str(socket_path)) < 100
    assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700
    long.forget_sockets()
    assert not socket_path.parent.exists()


def test_ports_are_chosen_once_and_remembered(state):
    first, notices = ports.choose(state.run("ports.json"))
    again, later = ports.choose(state.run("ports.json"))
    assert first == again
    assert len(set(first.values())) == len(ports.LISTENERS)
    assert notices == later == []


def test_a_port_that_another_program_took_is_chosen_anew_with_a_notice(state):
    first, _ = ports.choose(state.run("ports.json"))
    with socket.socket() as other:
        other.bind((ports.HOST, first["relay"]))
        other.listen()
        second, notices = ports.choose(state.run("ports.json"))
    assert second["relay"] != first["relay"]
    assert {**second, "relay": None} == {**first, "relay": None}
    assert notices == [
        f"port {first['relay']} is taken by another program: relay moves to {second['relay']}"
    ]


def test_secrets_are_made_once_and_readable_by_this_user_alone(state):
    secrets.generate(state)
    before = {
        path.name: path.read_bytes() for path in state.part("secrets").glob("*") if path.is_file()
    }
    secrets.generate(state)
    after = {
        path.name: path.read_bytes() for path in state.part("secrets").glob("*") if path.is_file()
    }
    assert before == after
    assert {"operator-token", "session-key.pem", "forge-key.pem", "pgpass"} <= set(before)
    assert {stat.S_IMODE(state.secret(name).stat().st_mode) for name in before} == {0o600}


def test_only_one_supervisor_holds_a_state_directory(state):
    with lock.held(state), pytest.raises(StackIsUp), lock.held(state):
        pass
    assert lock.holder(state) is None


def test_who_only_looks_keeps_no_supervisor_from_starting(state):
    """Two who look at once see nobody, and one that starts meanwhile is waited for by none."""
    with lock.held(state):
        assert lock.holder(state) == os.getpid()
    with state.run("lock").open("r+") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert lock.holder(state) is None
        freed = threading.Timer(0.3, fcntl.flock, (looking, fcntl.LOCK_UN))
        freed.start()
        with lock.held(state):
            assert lock.holder(state) == os.getpid()
        freed.join()


def test_a_nearly_full_disk_is_refused_with_what_to_do(state):
    with pytest.raises(NotThere, match="the disk is nearly full") as refused:
        disk.require_space(state.root, least=1 << 60)
    assert "X1_STATE_DIR" in str(refused.value)


def test_a_stacks_name_stays(state):
    assert identity(state) == identity(state)


def test_no_key_of_a_persons_shell_reaches_a_component():
    inherited = base_environment(
        {
            "HOME": "/home/a",
            "ANTHROPIC_API_KEY": "k",
            "GITHUB_TOKEN": "t",
            "NPM_CONFIG__AUTH": "a",
            "PREFECT_API_URL": "http://elsewhere",
            "PGPASSWORD": "p",
            "NO_PROXY": "corp",
        }
    )
    assert set(inherited) == {
        "HOME",
        "PATH",
        "NO_PROXY",
        "no_proxy",
        "PYTHONUNBUFFERED",
        "DO_NOT_TRACK",
    }
    assert inherited["NO_PROXY"] == "corp,127.0.0.1,localhost,.localhost"
