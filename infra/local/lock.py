"""One stack per state directory: the supervisor holds a file lock for as long as it lives."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from infra.local.errors import StackIsUp
from infra.local.state import StateDir


@contextmanager
def held(state: StateDir) -> Generator[None]:
    """Raises StackIsUp when another supervisor holds it. The kernel frees it when its holder dies."""
    path = state.run("lock")
    with path.open("a+") as file:
        if not _try(file.fileno()):
            raise StackIsUp(state.root, holder(state))
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder(state: StateDir) -> int | None:
    """The pid of the supervisor that holds the lock, None when nobody does."""
    path = state.run("lock")
    if not path.exists():
        return None
    with path.open("r+") as file:
        if _try(file.fileno()):
            return None
        return _pid(path)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(path: Path) -> int | None:
    text = path.read_text().strip()
    return int(text) if text.isdigit() else None
