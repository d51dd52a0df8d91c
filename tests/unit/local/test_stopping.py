"""`x1 down` returns when nothing is left."""

import subprocess
import sys

from pids import is_gone

from infra.local.cli.stopping import stop
from infra.local.state import StateDir

LINGERS = """
import signal, sys, time
from pathlib import Path
from infra.local import lock
from infra.local.state import StateDir

def leave(*_):
    raise SystemExit

signal.signal(signal.SIGTERM, leave)
try:
    with lock.held(StateDir(root=Path(sys.argv[1]))):
        print("up", flush=True)
        while True:
            time.sleep(0.05)
finally:
    time.sleep(1)
"""


def test_down_waits_for_the_supervisors_process_and_not_for_its_lock_alone(tmp_path):
    state = StateDir(root=tmp_path)
    state.create()
    command = [sys.executable, "-c", LINGERS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout.readline() == "up\n"
        stop(state)
        assert is_gone(supervisor.pid)
