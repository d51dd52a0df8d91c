"""x1 up: starts a supervisor and shows how its components come up."""

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infra.local import lock
from infra.local.errors import AskedFailed, LocalError, NotThere, raised_again
from infra.local.files import read_json
from infra.local.logfiles import last_words, opened
from infra.local.state import StateDir
from infra.local.status import FAILURE, Phase, StatusBoard, read

START_SECONDS = 240
"""A first start migrates Prefect's database on a slow disk; a warm one takes a tenth."""
STOP_SECONDS = 60
POLL_SECONDS = 0.1
SHOWN = ("ready", "restarting", "failed")


def in_foreground(state: StateDir, only: Sequence[str]) -> None:
    """Returns after Ctrl-C and a clean stop."""
    from infra.local.supervisor import supervise  # noqa: PLC0415 - it loads a database driver

    progress = _Progress(state)
    last: list[str] = []

    def show(board: StatusBoard) -> None:
        status = board.whole()
        progress.show(status)
        if board.phase != Phase.STARTING and last[-1:] != [board.phase]:
            last.append(board.phase)
            if board.phase == Phase.READY:
                progress.finish(status)
            else:
                sys.stderr.write(f"{board.phase}\n")

    asyncio.run(supervise(state, only, show))


def in_background(state: StateDir, only: Sequence[str]) -> None:
    """Returns when all is ready. Ctrl-C meanwhile ends what was started."""
    _await_end_of_stopping(state)
    started: subprocess.Popen[bytes] | None = None
    if lock.holder(state) is None:
        state.create()
        for stale in ("status.json", FAILURE):
            state.run(stale).unlink(missing_ok=True)
        started = _supervisor(state, only)
    progress = _Progress(state)
    try:
        progress.finish(_await_ready(state, started, progress.show))
    except BaseException:
        if started is not None and started.poll() is None:
            _end(started)
        raise


def _await_end_of_stopping(state: StateDir) -> None:
    """A stack that is on its way down is not the one that was asked for."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and lock.holder(state) is not None:
        if read(state)["phase"] not in {Phase.STOPPING, Phase.STOPPED, Phase.FAILED}:
            return
        time.sleep(POLL_SECONDS)


def _supervisor(state: StateDir, only: Sequence[str]) -> subprocess.Popen[bytes]:
    with opened(state.log("supervisor")) as output:
        return subprocess.Popen(
            [sys.executable, "-m", "infra.local", str(state.root), *only],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=state.root,
            start_new_session=True,
        )


def _await_ready(
    state: StateDir,
    started: subprocess.Popen[bytes] | None,
    show: Callable[[Mapping[str, Any]], None],
) -> Mapping[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ended = started is not None and started.poll() is not None
        status = read_json(state.run("status.json")) or {"phase": Phase.STARTING, "components": []}
        show(status)
        if status["phase"] == Phase.READY:
            return status
        if ended or (started is None and lock.holder(state) is None):
            raise _cannot(state)
        time.sleep(POLL_SECONDS)
    raise AskedFailed(
        expected=f"the stack ready within {START_SECONDS} s",
        came="; ".join(_late(read(state))) or "nothing",
        then="x1 logs",
    )


def _late(status: Mapping[str, Any]) -> list[str]:
    return [
        f"{component['name']} is {component['state']}"
        for component in status["components"]
        if component["state"] != "ready"
    ]


def _cannot(state: StateDir) -> LocalError:
    """The supervisor's own words, or its last ones when it had no time for any."""
    said = read_json(state.run(FAILURE))
    if said is not None:
        return raised_again(said)
    log = state.log("supervisor")
    return NotThere(
        expected="a supervisor", came=f"it ended: {last_words(log)} (log: {log})", then="x1 doctor"
    )


def _end(started: subprocess.Popen[bytes]) -> None:
    sys.stderr.write("ending what was started…\n")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    started.terminate()
    try:
        started.wait(60)
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()


class _Progress:
    """One line for each component that changed, with the seconds since the start."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._since = time.monotonic()
        self._last: dict[str, tuple[str, str]] = {}
        self._noticed: set[str] = set()

    def show(self, status: Mapping[str, Any]) -> None:
        for notice in status.get("notices", []):
            if notice not in self._noticed:
                self._noticed.add(notice)
                sys.stderr.write(f"note: {notice}\n")
        for component in status["components"]:
            now = (component["state"], component["reason"])
            if component["state"] in SHOWN and self._last.get(component["name"]) != now:
                self._last[component["name"]] = now
                reason = f"  {component['reason']}" if component["reason"] else component["url"]
                seconds = time.monotonic() - self._since
                name, state = component["name"], component["state"]
                sys.stderr.write(f"{seconds:5.1f}s  {name:<12} {state:<10} {reason}\n")

    def finish(self, status: Mapping[str, Any]) -> None:
        urls, root = status["urls"], self._state.root
        told = (
            ""
            if root == StateDir.of(os.environ, None).root
            else f" --state-dir {shlex.quote(str(root))}"
        )
        sys.stderr.write(
            f"ready in {time.monotonic() - self._since:.1f} s; state in {self._state.root}\n"
            f"  sessions  {urls['relay']}\n"
            f"  Prefect   {urls['prefect']}\n"
            f'  next      eval "$(x1 env{told})"   x1 status{told}   x1 down{told}\n'
        )
