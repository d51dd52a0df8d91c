"""The runtime's process: in a group of its own, recorded on disk, ended with everything it started."""

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import psutil

from sidecar import subprocesses
from sidecar.pod.acp.errors import RuntimeExited

GRACE_SECONDS: Final = 3.0
"""To save a conversation; the journal and a loaded conversation cope with less."""
TAIL_BYTES: Final = 8 * 1024
LOG_BYTES: Final = 4 * 1024 * 1024
_PR_SET_CHILD_SUBREAPER: Final = 36


def adopt_orphans() -> None:
    """On Linux, what a runtime's dead children leave behind becomes ours, and can be ended with it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class RuntimeProcess:
    """`reader` and `writer` are its output and input; what it complains goes to a bounded log."""

    def __init__(self, process: asyncio.subprocess.Process, record: Path, log: Path) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        self.reader = process.stdout
        self.writer = process.stdin
        self.pid = process.pid
        self._process = process
        self._record = record
        self._log = log
        self._tail: deque[bytes] = deque()

    @classmethod
    async def start(
        cls, argv: list[str], *, cwd: Path, env: dict[str, str], state_dir: Path
    ) -> Self:
        """Raises RuntimeExited when there is no such program."""
        try:
            process = await subprocesses.start(
                *argv,
                cwd=cwd,
                env=env,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise RuntimeExited(f"{argv[0]} cannot be started: {error.strerror}") from error
        self = cls(process, state_dir / "runtime.json", state_dir / "runtime.log")
        self._write_record()
        return self

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    @property
    def how_it_ended(self) -> str:
        code = self._process.returncode
        if code is None:
            return "its output ended while it still ran"
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def complaints(self) -> str:
        """The last it wrote to standard error."""
        return b"".join(self._tail).decode(errors="replace")[-TAIL_BYTES:]

    async def drain(self) -> None:
        """Reads standard error until it ends: a full pipe would stop the runtime for ever."""
        assert self._process.stderr is not None
        written = 0
        with self._log.open("ab", buffering=0) as log:
            while chunk := await self._process.stderr.read(TAIL_BYTES):
                self._tail.append(chunk)
                while len(self._tail) > 1 and sum(map(len, self._tail)) > 2 * TAIL_BYTES:
                    self._tail.popleft()
                if written < LOG_BYTES:
                    log.write(chunk)
                    written += len(chunk)

    async def wait(self) -> None:
        await self._process.wait()

    async def end(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Asks the group, then kills it and whatever else descends from it. Repeatable."""
        family = _family(self.pid)
        with suppress(OSError, RuntimeError):
            self.writer.close()
        if self.is_running:
            _signal_group(self.pid, signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await self._process.wait()
        _signal_group(self.pid, signal.SIGKILL)
        await self._process.wait()
        await asyncio.to_thread(_kill, [*family, *_orphans(self.pid)])
        self._record.unlink(missing_ok=True)

    def kill(self) -> None:
        """At once, without waiting: for a lost lease."""
        _signal_group(self.pid, signal.SIGKILL)

    def _write_record(self) -> None:
        try:
            created = psutil.Process(self.pid).create_time()
        except psutil.Error:
            return
        record = {"pid": self.pid, "pgid": self.pid, "create_time": created}
        temporary = self._record.with_suffix(".tmp")
        temporary.write_text(json.dumps(record))
        temporary.replace(self._record)


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _orphans(group: int) -> list[psutil.Process]:
    """What the runtime's descendants left to us: adopted by this process, started by none of its code."""
    ours: list[psutil.Process] = []
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(each.pid) == group or each.environ().get("X1_SIDECAR_URL"):
                ours.append(each)
    return ours


def _kill(processes: list[psutil.Process]) -> None:
    """Waits for them too: an adopted orphan stays a zombie until somebody does."""
    for each in processes:
        with suppress(psutil.Error):
            each.kill()
    psutil.wait_procs(processes, timeout=GRACE_SECONDS)
