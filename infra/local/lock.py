"""One stack per state directory: the supervisor holds a file lock for as long as it lives.

Its pid stands in the file. Who ends what a killed supervisor left holds it without one, and is waited for.
Who only looks takes it shared for that moment: two who look at once do not take each other for a supervisor.
"""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from infra.local.errors import StackIsUp
from infra.local.state import StateDir

PATIENCE_SECONDS = 30.0
"""Longer than it takes to end what a killed supervisor left."""
POLL_SECONDS = 0.05


@contextmanager
def held(state: StateDir, *, by_supervisor: bool = True) -> Generator[None]:
    """Raises StackIsUp when a supervisor holds it. The kernel frees it when its holder dies."""
    with state.run("lock").open("a+") as file:
        _take(state, file.fileno())
        file.truncate(0)
        if by_supervisor:
            file.write(str(os.getpid()))
            file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def holder(state: StateDir) -> int | None:
    """The pid of the supervisor that holds the lock, None when nobody does."""
    path = state.run("lock")
    try:
        with path.open("r+") as file:
            return None if _try(file.fileno(), fcntl.LOCK_SH) else _pid(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _take(state: StateDir, descriptor: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _try(descriptor, fcntl.LOCK_EX):
        supervisor = holder(state)
        if supervisor is not None or time.monotonic() > deadline:
            raise StackIsUp(state.root, supervisor)
        time.sleep(POLL_SECONDS)


def _try(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(path: Path) -> int | None:
    text = path.read_text().strip()
    return int(text) if text.isdigit() else None
