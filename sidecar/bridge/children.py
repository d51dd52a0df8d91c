"""Processes of this one, and every exit in one place.

PID 1 inherits orphans, so it must wait for any child; asyncio's subprocesses wait for theirs alone and would
lose a status to it. Hence plain processes, whose ends are told by the one who reaps.
"""

import asyncio
import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from sidecar.bridge.files import whole
from sidecar.bridge.tools import with_own_tools
from sidecar.bridge.trust import with_own_trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """`exited` yields the exit code, below zero for a signal."""

    pid: int
    exited: asyncio.Future[int]
    stdin: IO[bytes] | None
    stdout: IO[bytes]
    stderr: IO[bytes]

    def signal_group(self, number: int) -> None:
        """It leads a group of its own."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return


class Children:
    """Inside a running loop, one per process: it owns SIGCHLD.

    `max_processes` is a limit of theirs and not of this process, which must be able to start another after an
    agent has used it up. Linux counts all processes and threads of a user on the node.
    """

    def __init__(self, *, max_processes: int | None = None) -> None:
        self._max_processes = max_processes
        self._known: dict[int, tuple[subprocess.Popen[bytes], asyncio.Future[int]]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def start(
        self, argv: Sequence[str], cwd: str, environment: Mapping[str, str], *, has_input: bool
    ) -> Child:
        """In a session of its own. Raises OSError, ValueError."""
        process = subprocess.Popen(
            list(argv),
            cwd=whole(cwd),
            env=with_own_trust(with_own_tools(environment)),
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        if self._max_processes is not None:
            with suppress(ProcessLookupError):
                limits = (self._max_processes, self._max_processes)
                resource.prlimit(process.pid, resource.RLIMIT_NPROC, limits)
        # Not reaped before this: the handler runs in this loop's next round at the earliest.
        exited: asyncio.Future[int] = self._loop.create_future()
        self._known[process.pid] = (process, exited)
        assert process.stdout is not None
        assert process.stderr is not None
        return Child(
            pid=process.pid,
            exited=exited,
            stdin=process.stdin,
            stdout=process.stdout,
            stderr=process.stderr,
        )

    def close(self) -> None:
        self._loop.remove_signal_handler(signal.SIGCHLD)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._tell(pid, os.waitstatus_to_exitcode(status))

    def _tell(self, pid: int, code: int) -> None:
        process, exited = self._known.pop(pid, (None, None))
        if process is not None and exited is not None:
            process.returncode = code
            if not exited.done():
                exited.set_result(code)
