"""Six sessions on one stack, each brought to a moment of its own, so that one death meets all of them there.

waiter     in the middle of a turn: a command of it runs
listener   its wake is on disk, and the bell is not rung
ender      its turn has ended and has no receipt
parker     its runtime is stopped, and it is not parked yet
shower     its preview is being built
merger     the forge has merged, and nothing is recorded
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from branches import APP, fill_the_forge
from gates import Gates, until
from watched import OF_A_SESSION, Watched

from infra.local.components import relay
from infra.local.stack import running
from infra.local.state import StateDir

AGENTS = ("waiter", "listener", "ender", "parker", "shower", "merger")
TWINS = ("twin", "pair")
"""Agents that have no session yet."""
SCRIPT = """
version: 1
vars: {preview: {}, verdict: {}}
on:
  - name: wait
    when: {kind: user, text: "wait for "}
    do:
      - set: {gate: "${wake.text | find('[^ ]+$')}"}
      - run: touch ${gate}.begun; while [ ! -e ${gate} ]; do sleep 0.05; done; touch ${gate}.over
      - say: "done: ${wake.text}"
  - name: show
    when: {kind: user, text: "show "}
    do:
      - set: {victim: "${wake.text | find('show ([a-z]+)')}", sha: "${wake.text | find('[0-9a-f]{40}')}"}
      - call: preview_deploy
        with: {repo: acme/app, branch: "slow/${victim}", commit_sha: "${sha}"}
      - say: "done: ${wake.text}"
  - name: prove
    when: {kind: user, text: "prove "}
    do:
      - set: {victim: "${wake.text | find('prove ([a-z]+)')}", sha: "${wake.text | find('[0-9a-f]{40}')}"}
      - call: preview_deploy
        with: {repo: acme/app, branch: "fast/${victim}", commit_sha: "${sha}", wait_seconds: 50}
        as: preview
      - call: preview_verify
        with: {preview_id: "${preview.preview_id}", checks: [{path: /, contains: hello}]}
        timeout: 200
        as: verdict
      - say: "done: ${wake.text}"
  - name: merge
    when: {kind: user, text: "merge "}
    do:
      - call: merge_branch
        with: {repo: acme/app, head: "fast/${victim}", base: "base/${victim}", expected_sha: "${sha}", evidence_id: "${verdict.evidence_id}"}
      - say: "done: ${wake.text}"
  - name: a preview has come further
    when: {kind: preview}
    do:
      - call: preview_status
        with: {preview_id: "${wake.payload.preview_id}"}
        as: status
      - call: preview_logs
        with: {preview_id: "${wake.payload.preview_id}", source: build}
        as: logs
      - call: preview_events
        with: {preview_id: "${wake.payload.preview_id}"}
        as: events
      - say: "read: ${status.serving} ${logs.lines | first} ${events.events | map(attribute='type') | list | last}"
  - name: anything else
    do:
      - say: "done: ${wake.text}"
"""


@dataclass(kw_only=True)
class Stage(Watched):
    ids: dict[str, str] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)
    """By branch: `base/`, `fast/` and `slow/`, one of each for every victim."""

    def set(self, victims: tuple[str, ...]) -> None:
        """Starts the stack, fills the forge, and has each session's first turn behind it."""
        done = self.x1("up")
        assert done.returncode == 0, done.stderr
        self.revisions = fill_the_forge(
            f"http://127.0.0.1:{self.ports()['forge']}",
            self.secret("forge-admin-token"),
            {victim: self._gate(f"slow-{victim}") for victim in victims},
        )
        agents = self.state_dir.parent / "agents"
        agents.mkdir()
        (agents / "script.txt").write_text(SCRIPT)
        for name in (*AGENTS, *TWINS):
            (agents / f"{name}.yaml").write_text(yaml.safe_dump(_agent(name)))
        done = self.x1("agents", "apply", str(agents))
        assert done.returncode == 0, done.stderr
        self.gates = Gates(self)
        self.gates.install()
        with self.client(patience_seconds=60) as http:
            for name in AGENTS:
                asked = {"agent": name, "text": "begin"}
                self.ids[name] = http.post("/api/sessions", json=asked).json()["session_id"]
        for name in AGENTS:
            self.await_done(name, "begin")

    def say(self, name: str, text: str) -> None:
        asked = {"session_id": self.ids[name], "text": text}
        with self.client(patience_seconds=60) as http:
            http.post("/api/wakes", json=asked).raise_for_status()

    def wakes(self, name: str, text: str = "") -> list[dict[str, Any]]:
        with self.client() as http:
            told = http.get("/api/wakes", params={"session_id": self.ids[name]}).json()["wakes"]
        return [each for each in told if text in each["text"]]

    def await_done(self, name: str, text: str) -> dict[str, Any]:
        """The one wake with this text, once its turn has ended."""

        def is_done() -> dict[str, Any] | None:
            (wake,) = self.wakes(name, text)
            return wake if wake["receipt"] == "done" else None

        return until(is_done, f"the end of {name}'s turn on {text[:40]!r}")

    def words(self, name: str, generation: int | None = None) -> str:
        """All that the session has said, or what one activation of it has."""
        self.read()
        events = [
            each
            for each in self.events[self.ids[name]]
            if each["type"] == "agent.text" and generation in (None, each["generation"])
        ]
        return "".join(each["payload"]["text"] for each in events)

    def await_answer(self, name: str, answer: str) -> None:
        """It is given, and given once."""

        def is_given() -> bool:
            words = self.words(name)
            assert answer in words, f"it said {words[-300:]!r}"
            return True

        until(is_given, f"{name}'s answer {answer!r}")
        assert self.words(name).count(answer) == 1, f"{name} did it twice"

    def session(self, name: str) -> dict[str, Any]:
        self.read()
        return self.sessions[self.ids[name]]

    def find(self, agent: str) -> list[str]:
        """The ids of all its sessions."""
        self.read()
        return [each["id"] for each in self.sessions.values() if each["agent"] == agent]

    def run(self, deployment: str, **parameters: str) -> str:
        """A flow run of `session/…`, as `prefect deployment run` makes it. Its id."""
        with self._prefect() as http:
            found = http.get(f"/api/deployments/name/session/{deployment}").raise_for_status()
            path = f"/api/deployments/{found.json()['id']}/create_flow_run"
            asked = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
            return http.post(path, json=asked).raise_for_status().json()["id"]

    def state_of(self, flow_run_id: str) -> str:
        with self._prefect() as http:
            return http.get(f"/api/flow_runs/{flow_run_id}").raise_for_status().json()["state_name"]

    @contextlib.contextmanager
    def second_relay(self) -> Iterator[int]:
        """A relay beside the stack's own, on the same database and bus. Yields its port."""
        local = running(StateDir(root=self.state_dir))
        assert local is not None
        port = free_port()
        environment = {**local.environment, **relay.environment(local), "X1_PORT": str(port)}
        argv = [sys.executable, "-m", "sidecar", "relay"]
        with (self.state_dir.parent / "relay.log").open("wb") as log:
            process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
        try:
            with self.client(port) as http:
                until(lambda: http.get("/readyz").is_success, "the second relay")
            yield port
        finally:
            process.terminate()
            process.wait(60)

    def _prefect(self) -> httpx.Client:
        user, _, password = self.secret("prefect-auth").partition(":")
        url = f"http://127.0.0.1:{self.ports()['prefect']}"
        return httpx.Client(base_url=url, auth=(user, password), trust_env=False, timeout=60)

    def preview(self, branch: str) -> dict[str, Any]:
        with self.client() as http:
            previews = http.get("/api/previews").json()["previews"]
        return next(each for each in previews if each["branch"] == branch)

    def commits(self, branch: str) -> list[dict[str, Any]]:
        headers = {"authorization": f"Bearer {self.secret('forge-admin-token')}"}
        url = f"http://127.0.0.1:{self.ports()['forge']}/repos/{APP}/commits"
        with httpx.Client(trust_env=False, headers=headers, timeout=60) as http:
            return http.get(url, params={"sha": branch}).raise_for_status().json()

    @contextlib.contextmanager
    def at_their_moments(self, victim: str) -> Iterator[list[int]]:
        """All six sessions are where they are to be, for as long as this lasts. Yields whom to kill."""
        try:
            with self._gathered(victim):
                struck = self._pids_of(victim)
                with self.gates.commits_held(), self._told(f"hear {victim}") as repeat_if_refused:

                    def is_on_disk() -> bool:
                        repeat_if_refused()
                        return self.gates.is_committing("wakes")

                    until(is_on_disk, "the wake's commit")
                    yield struck
        finally:
            self._gate(victim).touch()
            self._gate(f"slow-{victim}").touch()
            self.gates.await_free()

    @contextlib.contextmanager
    def _gathered(self, victim: str) -> Iterator[None]:
        """All but the listener, which is last."""
        fast, slow = (self.revisions[f"{kind}/{victim}"] for kind in ("fast", "slow"))
        self.say("shower", f"show {victim} {slow}")
        self.say("merger", f"prove {victim} {fast}")
        self.await_done("merger", f"prove {victim}")
        until(self._gate(f"slow-{victim}.begun").exists, "the build")
        last = {"wakes": "ender", "sessions": "parker", "merges": "merger"}
        places = [(table, self.ids[name]) for table, name in last.items()]
        with self.gates.closed(*places):
            self.say("parker", f"rest {victim}")
            until(lambda: self.gates.is_reached(*places[1]), "parking")
            self.say("waiter", f"wait for {self._gate(victim)}")
            self.say("ender", f"end {victim}")
            self.say("merger", f"merge {victim} {fast}")
            until(self._gate(f"{victim}.begun").exists, "the command in the turn")
            for place in places:
                until(lambda place=place: self.gates.is_reached(*place), str(place))
            yield

    @contextlib.contextmanager
    def _told(self, text: str) -> Iterator[Callable[[], None]]:
        """The listener's wake is asked for, by somebody who waits for no answer and hangs up at the end.

        It may have to wait for a renewal of the listener's lease, whose commit is held as well, for longer than
        the relay lets it. Yields what asks again then.
        """
        headers = {
            "authorization": f"Bearer {self.secret('operator-token')}",
            "content-type": "application/json",
        }
        asked = json.dumps({"session_id": self.ids["listener"], "text": text})
        with contextlib.closing(HTTPConnection("127.0.0.1", self.ports()["relay"])) as sender:

            def ask() -> None:
                sender.request("POST", "/api/wakes", asked, headers)

            def ask_again_if_refused() -> None:
                if not select.select([sender.sock], [], [], 0)[0]:
                    return
                answer = sender.getresponse()
                told = answer.read().decode()
                assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE, f"{answer.status}: {told}"
                ask()

            ask()
            yield ask_again_if_refused

    def _pids_of(self, victim: str) -> list[int]:
        if victim not in OF_A_SESSION:
            found = [self.pid_of(victim, "")]
        else:
            self.read()
            found = [self.pid_of(victim, name) for name in AGENTS]
            if victim == "flow":
                found += self.forked()
        return [pid for pid in found if pid is not None]

    def _gate(self, name: str) -> Path:
        return self.state_dir.parent / name


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def strike(pids: list[int]) -> None:
    struck = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            struck.append(psutil.Process(pid))
            os.kill(pid, signal.SIGKILL)
    psutil.wait_procs(struck, timeout=5)


def _agent(name: str) -> dict[str, Any]:
    agent: dict[str, Any] = {
        "slug": name,
        "name": name,
        "kind": "orchestrator",
        "runtime": "scripted",
        "limits": {"children": 0, "depth": 1, "idle_minutes": 0.01 if name == "parker" else 30},
        "script": {"file": "script.txt"},
    }
    if name in ("shower", "merger"):
        agent["repos"] = [{"repo": APP, "mount_path": "app", "allow_merge": name == "merger"}]
    return agent
