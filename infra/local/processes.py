"""Processes in groups of their own, and how to be sure that none is left.

Every process is recorded with its start time the moment it is started: a later supervisor, or `x1 down`,
ends what a killed supervisor left, and never a stranger that got the same pid. Two marks in the
environment are inherited by whatever a component starts: they find what left its group.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from infra.local.files import read_json, write_whole
from infra.local.logfiles import opened
from infra.local.state import StateDir

STACK_MARK = "X1_STACK_ID"
COMPONENT_MARK = "X1_COMPONENT"
WORKPLACES = ("sessions", "builds", "previews")
POLL_SECONDS = 0.05


def start(
    argv: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Its own session and group, so that a terminal's Ctrl-C reaches the supervisor alone."""
    with opened(log) as output:
        return subprocess.Popen(
            list(argv),
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def create_time(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def signal_group(pgid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, number)


class Records:
    """Which processes this stack started: `run/processes.json`, name → pid and start time."""

    def __init__(self, state: StateDir) -> None:
        self._path = state.run("processes.json")
        self._entries: dict[str, dict[str, float]] = read_json(self._path) or {}

    def note(self, name: str, pid: int) -> None:
        self._entries[name] = {"pid": pid, "create_time": create_time(pid) or 0.0}
        self._save()

    def forget(self, name: str) -> None:
        if self._entries.pop(name, None) is not None:
            self._save()

    def alive(self) -> list[psutil.Process]:
        """The recorded processes that still are the ones that were started."""
        found: list[psutil.Process] = []
        for entry in self._entries.values():
            pid = int(entry["pid"])
            started = create_time(pid)
            if started is not None and abs(started - entry["create_time"]) < 1.0:
                with contextlib.suppress(psutil.NoSuchProcess):
                    found.append(psutil.Process(pid))
        return [process for process in found if _is_running(process)]

    def _save(self) -> None:
        """What cannot be recorded is found by its marks all the same."""
        try:
            write_whole(self._path, json.dumps(self._entries, indent=2))
        except OSError as error:
            sys.stderr.write(f"the processes could not be recorded: {error}\n")


def marked(stack_id: str, component: str | None = None) -> list[psutil.Process]:
    """Every process of this stack, or of one of its components, by the environment that it inherited."""

    def is_one(process: psutil.Process) -> bool:
        environment = process.environ()
        if environment.get(STACK_MARK) != stack_id:
            return False
        return component is None or environment.get(COMPONENT_MARK) == component

    return _ours(is_one)


def working_in(state: StateDir) -> list[psutil.Process]:
    """What runs in a session's workspace, a build or a preview, and has no terminal: not a person's shell."""
    places = tuple(f"{state.part(name)}{os.sep}" for name in WORKPLACES)

    def is_one(process: psutil.Process) -> bool:
        return process.terminal() is None and f"{process.cwd()}{os.sep}".startswith(places)

    return _ours(is_one)


def _ours(is_one: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if (
                process.pid not in own
                and process.status() != psutil.STATUS_ZOMBIE
                and is_one(process)
            ):
                found.append(process)
    return found


def leftovers(state: StateDir, stack_id: str) -> list[psutil.Process]:
    """Everything that a stack in this directory started and that still runs."""
    recorded = Records(state).alive()
    own = os.getpid()
    found = {process.pid: process for process in (*recorded, *marked(stack_id), *working_in(state))}
    found.pop(own, None)
    return list(found.values())


async def end(processes: Iterable[psutil.Process], patience_seconds: float) -> int:
    """Asks each to stop, waits, then kills. Returns how many were there."""
    living = list(processes)
    for process in living:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    remaining = await gone(living, patience_seconds)
    for process in remaining:
        with contextlib.suppress(psutil.Error):
            process.kill()
    await gone(remaining, 5.0)
    return len(living)


async def gone(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Waits until they are gone; returns those that are not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    remaining = [process for process in processes if _is_running(process)]
    while remaining and loop.time() < deadline:
        await asyncio.sleep(POLL_SECONDS)
        remaining = [process for process in remaining if _is_running(process)]
    return remaining


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
