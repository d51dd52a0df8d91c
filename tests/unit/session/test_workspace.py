"""A place on one machine belongs to one activation, and nothing of a dead one runs on in it."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pids import is_gone

from sidecar.domain.errors import LeaseHeld
from tasks.session import workspace
from tasks.session.workspace import end_leftovers, held

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
DEAF_LEADER = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("up", flush=True)
time.sleep(60)
"""
DEAF_FAMILY = [sys.executable, "-c", DEAF_LEADER]


def record_group(
    place: workspace.Workspace, process: subprocess.Popen, *, create_time=None
) -> None:
    place.state.mkdir(parents=True, exist_ok=True)
    started = create_time or psutil.Process(process.pid).create_time()
    record = {"pid": process.pid, "pgid": process.pid, "create_time": started}
    (place.state / "runtime.json").write_text(json.dumps(record))


@pytest.fixture
def place(tmp_path: Path) -> workspace.Workspace:
    return workspace.Workspace(root=tmp_path / "s1")


def test_the_recorded_group_is_ended_with_its_children_even_when_it_ignores_sigterm(place):
    with subprocess.Popen(DEAF_FAMILY, start_new_session=True, stdout=subprocess.PIPE) as leader:
        assert leader.stdout.readline() == b"up\n"
        record_group(place, leader)
        ended = end_leftovers(place)
        leader.wait(20)
    assert len(ended) == 2
    assert all(is_gone(pid) for pid in ended)


def test_a_younger_process_with_the_recorded_number_is_left_alone(place):
    with subprocess.Popen(SLEEPER, start_new_session=True) as stranger:
        record_group(place, stranger, create_time=1.0)
        assert end_leftovers(place) == []
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 0}', '{"pgid": 1}'])
def test_a_torn_record_ends_nothing(place, text):
    place.state.mkdir(parents=True)
    (place.state / "runtime.json").write_text(text)
    (place.root / "sidecar.json").write_text(text)
    assert end_leftovers(place) == []


def test_a_second_activation_waits_and_then_says_who_works_there(tmp_path, monkeypatch):
    monkeypatch.setattr(workspace._take.retry, "stop", lambda state: state.attempt_number >= 2)
    with held(tmp_path, "s1", None), pytest.raises(LeaseHeld, match="another activation"):
        held(tmp_path, "s1", None).__enter__()


def test_the_place_is_free_again_after_its_holder_left(tmp_path):
    for _ in range(2):
        with held(tmp_path, "s1", None) as place:
            assert place.tree.is_dir()
            assert place.state.is_dir()
