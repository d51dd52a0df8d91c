"""A one-machine stack as seen from outside: sessions and events over the relay's API, processes by name."""

import contextlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from pids import commands, working_at

X1 = [str(Path(sys.executable).parent / "x1")]
OF_A_SESSION = ("runtime", "sidecar", "flow")
AWAY = (httpx.HTTPError, OSError, KeyError, ValueError)
"""What a look at a stack may raise while something of it is being killed."""


@dataclass(kw_only=True)
class Watched:
    state_dir: Path
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def x1(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*X1, *words, "--state-dir", str(self.state_dir)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def status(self) -> dict[str, Any]:
        with contextlib.suppress(ValueError):
            return json.loads(self.x1("status", "--json").stdout)
        return {}

    def ports(self) -> dict[str, int]:
        return json.loads((self.state_dir / "run" / "ports.json").read_text())

    def secret(self, name: str) -> str:
        return (self.state_dir / "secrets" / name).read_text().strip()

    def client(self, port: int | None = None, patience_seconds: float = 5) -> httpx.Client:
        """An operator's, of the stack's relay or of another one. Who looks again and again is not to be patient."""
        return httpx.Client(
            base_url=f"http://127.0.0.1:{port or self.ports()['relay']}",
            headers={"authorization": f"Bearer {self.secret('operator-token')}"},
            trust_env=False,
            timeout=patience_seconds,
        )

    def read(self) -> None:
        """Learns every session's events that are new since the last look. Raises what is in AWAY."""
        with self.client() as http:
            for session in http.get("/api/sessions").json()["sessions"]:
                self.sessions[session["id"]] = session
                known = self.events.setdefault(session["id"], [])
                after = known[-1]["sequence"] if known else 0
                told = http.get(f"/api/sessions/{session['id']}/events", params={"after": after})
                known.extend(told.json()["events"])

    def settle(self) -> None:
        """Everything that was acknowledged is stored within seconds of the end: until two looks see the same."""
        deadline, before = time.monotonic() + 60, 0
        while time.monotonic() < deadline:
            with contextlib.suppress(*AWAY):
                self.read()
                seen = sum(map(len, self.events.values()))
                if seen == before and seen and not self.gaps():
                    return
                before = seen
            time.sleep(1)

    def gaps(self) -> list[str]:
        """Where a number is missing or comes twice: in what readers see, or in what a sidecar told."""
        found = []
        for session_id, events in self.events.items():
            numbers = defaultdict(list)
            numbers[session_id, "sequence"] = [each["sequence"] for each in events]
            for event in events:
                if event["source_sequence"] is not None:
                    told_by = (session_id, event["generation"], event["source"])
                    numbers[told_by].append(event["source_sequence"])
            found += [
                f"{place}: {seen}"
                for place, seen in numbers.items()
                if sorted(seen) != list(range(1, len(seen) + 1))
            ]
        return found

    def pid_of(self, victim: str, agent: str) -> int | None:
        """A component's, or of the newest session of `agent` its `runtime`, `sidecar` or `flow`."""
        if victim in OF_A_SESSION:
            live = [s["id"] for s in self.sessions.values() if s["agent"].startswith(agent)]
            return self._session_process(victim, sorted(live, reverse=True))
        for component in self.status().get("components", []):
            if component["name"] == victim:
                return component["pid"]
        return None

    def _session_process(self, victim: str, session_ids: list[str]) -> int | None:
        for session_id in session_ids:
            place = self.state_dir / "sessions" / session_id
            record = place / ("state/runtime.json" if victim == "runtime" else "sidecar.json")
            with contextlib.suppress(*AWAY, psutil.Error):
                told = json.loads(record.read_text())
                process = psutil.Process(told["pid"])
                if abs(process.create_time() - told["create_time"]) > 1:
                    continue  # a stranger, who got its number
                if victim == "flow":
                    process = psutil.Process(process.ppid())
                if process.pid > 1 and process.status() != psutil.STATUS_ZOMBIE:
                    return process.pid
        return None

    def processes(self) -> list[psutil.Process]:
        """Every process of the stack, whoever started it."""
        mark = (self.state_dir / "run" / "id").read_text().strip()
        found = []
        for process, words, cwd in commands():
            told = " ".join(words)
            with contextlib.suppress(psutil.Error, OSError):
                is_part = process.environ().get("X1_STACK_ID") == mark
                if "x1 demo" not in told and (is_part or str(self.state_dir) in f"{told} {cwd}"):
                    found.append(process)
        return found

    def forked(self) -> list[int]:
        """The flows that the fork server started: `flow` names one of each session, these are all."""
        ours = {process.pid for process in self.processes()}
        return [
            process.pid
            for process, words, _ in commands()
            if process.pid in ours and "flows.forked" in words
        ]

    def left_over(self) -> list[str]:
        return working_at(str(self.state_dir))
