"""One arc under fire: the demo in a process of its own, watched over the relay's API, and whom to kill when."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil
from watched import AWAY, X1, Watched

ARC_SECONDS = 1200
"""Against a hang. An idle machine of two cores needs 70 to 150 s, one that is busy with other work many times that."""


@dataclass(frozen=True)
class Moment:
    """The first time that an event of `type` is seen in a session of `agent` whose payload fits."""

    agent: str
    type: str
    fits: Callable[[dict[str, Any]], bool] = lambda _: True


@dataclass
class Strike:
    """Kills `victim` once, at `moment`. `victim` is a component's name, `runtime`, `sidecar` or `flow`.

    `everything` is not killed but put to sleep, as a laptop is that is shut, and woken after `seconds`.
    """

    victim: str
    moment: Moment
    pid: int | None = None
    seconds: float = 60


@dataclass(kw_only=True)
class Arc(Watched):
    strikes: list[Strike] = field(default_factory=list)
    output: str = ""

    def play(self) -> int:
        """Runs the demo to its end, striking on the way. Returns its exit code."""
        with (self.state_dir.parent / "demo.log").open("w+") as log:
            command = [*X1, "demo", "--keep", "--state-dir", str(self.state_dir)]
            demo = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            deadline = time.monotonic() + ARC_SECONDS
            while demo.poll() is None and time.monotonic() < deadline:
                self._look()
                time.sleep(0.05)
            if demo.poll() is None:
                demo.kill()
            demo.wait()
            self.settle()
            log.seek(0)
            self.output = log.read()
        return demo.returncode

    def _look(self) -> None:
        with contextlib.suppress(*AWAY):
            self.read()
        for strike in self.strikes:
            if strike.pid is None and self._has_come(strike.moment):
                self._strike(strike)

    def _has_come(self, moment: Moment) -> bool:
        return any(
            event["type"] == moment.type and moment.fits(event["payload"])
            for session_id, events in self.events.items()
            if self.sessions[session_id]["agent"].startswith(moment.agent)
            for event in events
        )

    def _strike(self, strike: Strike) -> None:
        if strike.victim == "everything":
            strike.pid = self._sleep(strike.seconds)
            return
        pid = self.pid_of(strike.victim, strike.moment.agent)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                strike.pid = pid

    def _sleep(self, seconds: float) -> int:
        """Stops every process of the stack for longer than a lease lives. Returns how many there were."""
        asleep = self.processes()
        for process in asleep:
            with contextlib.suppress(psutil.Error):
                process.suspend()
        time.sleep(seconds)
        for process in asleep:
            with contextlib.suppress(psutil.Error):
                process.resume()
        return len(asleep)
