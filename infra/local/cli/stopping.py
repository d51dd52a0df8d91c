"""x1 down: ends the supervisor, which ends its components; and whatever a killed one left."""

import asyncio
import os
import signal
import sys
import time

import psutil

from infra.local import lock
from infra.local.errors import AskedFailed, StackIsUp
from infra.local.state import StateDir
from infra.local.supervisor import end_leftovers

STOP_SECONDS = 60
POLL_SECONDS = 0.1


def stop(state: StateDir) -> None:
    """Does nothing, and says so, when nothing runs."""
    if not state.root.exists():
        sys.stderr.write(f"nothing runs in {state.root}\n")
        return
    supervisor = lock.holder(state)
    if supervisor is not None:
        _end_supervisor(state, supervisor)
    ended = _end_leftovers(state)
    if ended:
        sys.stderr.write(f"ended {ended} left-over processes\n")
    is_down = supervisor is not None or ended
    sys.stderr.write("the stack is down\n" if is_down else "nothing was running\n")


def _end_leftovers(state: StateDir) -> int:
    """Under the lock, so that a stack that starts meanwhile is not taken for left-overs."""
    if not state.run("id").exists():
        return 0
    try:
        with lock.held(state, by_supervisor=False):
            return asyncio.run(end_leftovers(state))
    except StackIsUp:
        return 0


def _end_supervisor(state: StateDir, pid: int) -> None:
    """A supervisor that does not stop in time is killed; its components are left-overs then."""
    sys.stderr.write("stopping…\n")
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        if _is_over(state, pid, STOP_SECONDS):
            return
    raise AskedFailed(
        expected="the supervisor to end",
        came=f"process {pid} still holds {state.run('lock')}",
        then="x1 down again",
    )


def _is_over(state: StateDir, pid: int, seconds: float) -> bool:
    """Its lock is free a moment before its process is gone."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if lock.holder(state) is None and not _lives(pid):
            return True
        time.sleep(POLL_SECONDS)
    return False


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
