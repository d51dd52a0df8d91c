"""One session's place on this machine: its files, the lock on them, and what a dead activation left running.

    <sessions_dir>/<session id>/{workspace,state,lock,sidecar.json}

Only the holder of the file lock runs a sidecar there. The lock goes with the flow's process; the sidecar
and the runtime of a flow that was killed may outlive it by a moment, or for long when they were stopped or
killed too, so they are ended by pid and start time before the place is used again.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random

from sidecar.domain.errors import LeaseHeld

LOCK_PATIENCE_SECONDS = 30.0
"""Longer than a sidecar takes to stop its runtime; then somebody else truly works here."""
GRACE_SECONDS = 3.0
CLOCK_TICK_SECONDS = 0.05
"""Start times are kept in clock ticks of the kernel: two readings of one process may differ by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    root: Path

    @property
    def tree(self) -> Path:
        return self.root / "workspace"

    @property
    def state(self) -> Path:
        return self.root / "state"


@contextlib.contextmanager
def held(sessions_dir: Path, session_id: str, sidecar_pid: int | None) -> Generator[Workspace]:
    """Takes the place of `session_id`, ends what is left there, and records our sidecar.

    Raises LeaseHeld when another activation keeps it for 30 s.
    """
    place = Workspace(root=sessions_dir / session_id)
    for directory in (place.tree, place.state):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (place.root / "lock").open("w") as lock:
        _take(lock)
        end_leftovers(place)
        if sidecar_pid is not None:
            _record(place, sidecar_pid)
        yield place


@retry(
    retry=retry_if_exception_type(BlockingIOError),
    stop=stop_after_delay(LOCK_PATIENCE_SECONDS),
    wait=wait_random(0.05, 0.2),
    retry_error_callback=lambda state: _still_held(state.args[0]),
)
def _take(lock: IO[str]) -> None:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _still_held(lock: IO[str]) -> None:
    raise LeaseHeld(f"another activation works in {Path(lock.name).parent}; this one gives up")


def end_leftovers(place: Workspace) -> list[int]:
    """Ends a recorded sidecar, then the recorded runtime's group. Returns the pids that were still there."""
    left = [
        *_recorded_process(place.root / "sidecar.json"),
        *_recorded_group(place.state / "runtime.json"),
    ]
    for process in left:
        _signal(process, kill=False)
    _, stubborn = psutil.wait_procs(left, timeout=GRACE_SECONDS)
    for process in stubborn:
        _signal(process, kill=True)
    psutil.wait_procs(stubborn, timeout=GRACE_SECONDS)
    return [process.pid for process in left]


def _record(place: Workspace, pid: int) -> None:
    record = {"pid": pid, "create_time": psutil.Process(pid).create_time()}
    (place.root / "sidecar.json").write_text(json.dumps(record))


def _read(path: Path) -> dict[str, float]:
    """A torn or missing record names nothing: what wrote it died before it started anything."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _recorded_process(path: Path) -> list[psutil.Process]:
    record = _read(path)
    pid = int(record.get("pid", 0))
    started = record.get("create_time", 0.0)
    return [process for process in _processes([pid]) if _started_at(process, started)]


def _recorded_group(path: Path) -> list[psutil.Process]:
    """Every member of the recorded group; none when its number now belongs to a younger leader."""
    record = _read(path)
    group = int(record.get("pgid", 0))
    started = record.get("create_time", 0.0)
    if group <= 1:
        return []
    leaders = _processes([group])
    if leaders and not _started_at(leaders[0], started):
        return []
    return [process for process in psutil.process_iter() if _group_of(process.pid) == group]


def _processes(pids: list[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            if pid > 1:
                found.append(psutil.Process(pid))
    return found


def _started_at(process: psutil.Process, create_time: float) -> bool:
    try:
        return abs(process.create_time() - create_time) <= CLOCK_TICK_SECONDS
    except psutil.NoSuchProcess:
        return False


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.resume()
            process.terminate()
    except psutil.NoSuchProcess:
        return
