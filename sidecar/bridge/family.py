"""Everything that descends from this process: found in /proc, ended whatever group or session it chose.

An orphan comes back to its reaper: to PID 1 in a container, to a subreaper elsewhere. So nothing that a
runtime started can leave the family.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

PATIENCE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02
_PR_SET_CHILD_SUBREAPER: Final = 36


def adopt_orphans() -> None:
    """As PID 1 the kernel does so anyway."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


async def end_all(*, but: Iterable[int] = ()) -> bool:
    """Kills all descendants but these and theirs; False when some are left after five seconds.

    Needs somebody who reaps meanwhile. Repeats, as a process may fork while the list is read.
    """
    spared = list(but)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    while left := _living(os.getpid(), spared):
        if loop.time() > deadline:
            return False
        _kill(left, is_alone=not spared)
        await asyncio.sleep(_LOOK_SECONDS)
    return True


def _kill(processes: set[int], *, is_alone: bool) -> None:
    """PID 1 may strike all at once, faster than any of them forks."""
    with suppress(ProcessLookupError, PermissionError):
        if is_alone and os.getpid() == 1:
            os.kill(-1, signal.SIGKILL)
    for each in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGKILL)


def _living(root: int, spared: list[int]) -> set[int]:
    children, dead = _table()
    kept = _below(spared, children).union(spared)
    return _below([root], children) - kept - dead


def _below(roots: Iterable[int], children: dict[int, list[int]]) -> set[int]:
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        new = [each for each in children.get(waiting.pop(), ()) if each not in found]
        found.update(new)
        waiting += new
    return found


def _table() -> tuple[dict[int, list[int]], set[int]]:
    """Children by parent, and who is dead already and waits to be reaped."""
    children: dict[int, list[int]] = defaultdict(list)
    dead: set[int] = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            # After the name in brackets, which may hold anything: state, parent.
            state, parent = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            children[int(parent)].append(int(folder.name))
            if state in (b"Z", b"X"):
                dead.add(int(folder.name))
    return children, dead
