"""Keeps one component running: starts it, waits until it serves, starts it again when it dies."""

import asyncio
import random
import signal
import subprocess
from collections.abc import Mapping
from typing import Protocol

from infra.local import processes
from infra.local.component import Component
from infra.local.errors import CannotStart
from infra.local.logfiles import last_words
from infra.local.processes import COMPONENT_MARK, STACK_MARK, Records
from infra.local.state import StateDir
from infra.local.status import ComponentState, ComponentStatus

POLL_SECONDS = 0.1
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A component that lived this long starts its next backoff from the beginning."""
TRIES_BEFORE_READY = 3
"""A component that never was ready and died this often will not start by trying on."""
ORPHAN_SECONDS = 5.0
"""How long what a dead component started may take to notice by itself."""


class Board(Protocol):
    """Where a keeper tells what it does."""

    components: dict[str, ComponentStatus]

    def publish(self) -> None: ...


class Keeper:
    """One component's life. `run` ends only by cancellation or CannotStart; `stop` comes after it."""

    def __init__(
        self,
        component: Component,
        state: StateDir,
        records: Records,
        board: Board,
        base: Mapping[str, str],
    ) -> None:
        self.component = component
        self.is_ready = asyncio.Event()
        self._state = state
        self._records = records
        self._board = board
        self._environment = {**base, **component.environment, COMPONENT_MARK: component.name}
        self._process: subprocess.Popen[bytes] | None = None
        self._log = state.log(component.name)
        self._log_start = 0
        self._status = ComponentStatus(
            name=component.name,
            state=ComponentState.WAITING,
            pid=None,
            url=component.url,
            log=str(self._log),
        )
        board.components[component.name] = self._status

    async def run(self) -> None:
        failures = 0
        while True:
            started = asyncio.get_running_loop().time()
            reason = await self._live()
            if asyncio.get_running_loop().time() - started > STEADY_SECONDS:
                failures = 0
            failures += 1
            await self._bury(reason)
            if not self.is_ready.is_set() and failures >= TRIES_BEFORE_READY:
                self._say(ComponentState.FAILED, reason)
                raise CannotStart(self.component.name, reason, self._log)
            self._status.restarts += 1
            self._say(ComponentState.RESTARTING, reason)
            await asyncio.sleep(_backoff(failures))

    async def stop(self) -> None:
        """Asks the leader, waits, then kills the whole group and, for one that sweeps, what left it."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.send_signal(self.component.stop_signal)
                await _exited(process, self.component.stop_seconds)
            processes.signal_group(process.pid, signal.SIGKILL)
            await _exited(process, ORPHAN_SECONDS)
            await self._sweep()
            self._records.forget(self.component.name)
        self._say(ComponentState.STOPPED, self._status.reason)

    async def _live(self) -> str:
        """From start to death; the reason in one line."""
        try:
            async with asyncio.timeout(self.component.start_seconds):
                await self.component.prepare()
                self._start()
                if not await self._becomes_ready():
                    return self._why("ended before it was ready")
                await self.component.settle()
        except TimeoutError:
            return self._why(f"was not ready within {self.component.start_seconds:.0f} s")
        except (OSError, ValueError, RuntimeError) as error:
            return f"{error}"
        self.is_ready.set()
        self._say(ComponentState.READY, "")
        assert self._process is not None
        while self._process.poll() is None:  # noqa: ASYNC110 - a process rings no event
            await asyncio.sleep(POLL_SECONDS)
        return self._why("died")

    def _start(self) -> None:
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        self._process = processes.start(
            self.component.argv,
            environment=self._environment,
            directory=self.component.directory,
            log=self._log,
        )
        self._records.note(self.component.name, self._process.pid)
        self._status.pid = self._process.pid
        self._say(ComponentState.STARTING, self._status.reason)

    async def _becomes_ready(self) -> bool:
        """False when the process ended first."""
        assert self._process is not None
        while self._process.poll() is None:
            if await self.component.is_ready():
                return self._process.poll() is None
            await asyncio.sleep(POLL_SECONDS)
        return False

    async def _bury(self, reason: str) -> None:
        """Nothing of a dead component may stand in the way of the next one."""
        self._say(ComponentState.RESTARTING, reason)
        if self._process is not None:
            processes.signal_group(self._process.pid, signal.SIGKILL)
            await _exited(self._process, ORPHAN_SECONDS)
        await self._sweep()

    async def _sweep(self) -> None:
        """What a component started and let go of has a moment to end well: a sidecar gives its lease back."""
        if not self.component.sweeps:
            return
        orphans = await asyncio.to_thread(
            processes.marked, self._environment[STACK_MARK], self.component.name
        )
        remaining = await processes.gone(orphans, ORPHAN_SECONDS)
        await processes.end(remaining, 0.0)

    def _why(self, what: str) -> str:
        code = None if self._process is None else self._process.poll()
        ended = "" if code is None else f" ({_exit(code)})"
        # Who is killed says nothing: its last line is about something else.
        said = "" if code == -signal.SIGKILL else last_words(self._log, self._log_start)
        return f"{what}{ended}" + (f": {said}" if said else "")

    def _say(self, state: ComponentState, reason: str) -> None:
        self._status.state = state
        self._status.reason = reason
        if state in {ComponentState.RESTARTING, ComponentState.FAILED, ComponentState.STOPPED}:
            self._status.pid = None
        self._board.publish()


async def _exited(process: subprocess.Popen[bytes], seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while process.poll() is None and loop.time() < deadline:  # noqa: ASYNC110 - as above
        await asyncio.sleep(POLL_SECONDS / 2)
    return process.poll() is not None


def _backoff(failures: int) -> float:
    longest = min(FIRST_BACKOFF_SECONDS * 2 ** (failures - 1), LONGEST_BACKOFF_SECONDS)
    return longest * random.uniform(0.8, 1.0)  # noqa: S311 - jitter guards nothing


def _exit(code: int) -> str:
    return f"exit {code}" if code >= 0 else f"signal {-code}"
