"""A cluster with the product on it, driven as its operator would: `x1`, `kubectl`, the relay's API."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from infra.cluster import settings
from sidecar.relay.operator.asking import MOST_EVENTS

X1 = str(Path(sys.executable).parent / "x1")
SYSTEM, SESSIONS, OPERATIONS = "x1-system", "x1-sessions", "x1-operations"
PATIENCE_SECONDS = 240.0
"""Against a hang, and no promise: a node of two cores may run the whole installation beside what is tested."""
AWAY = 503


def images() -> list[str]:
    """Which images an installation is made of: as `x1 cluster install` takes them."""
    prefix, tag = _images()
    file = os.environ.get("X1_TEST_SETTINGS")
    return ["--prefix", prefix, "--tag", tag, *(["--settings", file] if file else [])]


def open_networks() -> str:
    """The internal ones that installations here are told of, as the egress proxy takes them."""
    file = os.environ.get("X1_TEST_SETTINGS")
    told = settings.read(Path(file) if file else None).open_networks
    return json.dumps([str(each.cidr) for each in told])


def workspaces() -> tuple[str, ...]:
    """Those that installations here are told of, `default` among them."""
    file = os.environ.get("X1_TEST_SETTINGS")
    return settings.read(Path(file) if file else None).workspaces


def image(name: str) -> str:
    """One of them, as a manifest names it."""
    prefix, tag = _images()
    return f"{prefix}{name}:{tag}"


def _images() -> tuple[str, str]:
    return os.environ.get("X1_TEST_IMAGE_PREFIX", "x1/"), os.environ.get(
        "X1_TEST_IMAGE_TAG", "0.1.0"
    )


def run(*argv: str, given: str | None = None, seconds: float = 120) -> str:
    done = _ended(argv, given, seconds)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
    return done.stdout


def refused(*argv: str, seconds: float = 120) -> str:
    """What a command says that is not done, its lines joined: messages are wrapped."""
    done = _ended(argv, None, seconds)
    assert done.returncode != 0, f"{' '.join(argv)} was done: {done.stdout[-2000:]}"
    return " ".join(done.stderr.split())


def _ended(
    argv: Sequence[str], given: str | None, seconds: float
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        argv, input=given, capture_output=True, text=True, timeout=seconds, check=False
    )


def kubectl(*words: str, given: str | None = None, seconds: float = 120) -> str:
    return run("kubectl", *words, given=given, seconds=seconds)


def listed(kind: str, *words: str) -> list[dict[str, Any]]:
    return json.loads(kubectl("get", kind, *words, "-o", "json"))["items"]


def until(look: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """What `look` returns once it is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:g} s"
        time.sleep(0.2)
    return found


def patiently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Asked again while nobody answers or what is behind is away: services and forwarded ports begin anew."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = ask()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        else:
            if answer.status_code != AWAY or time.monotonic() > deadline:
                return answer
        time.sleep(0.3)


@dataclass
class Cluster:
    """A connected installation. `urls` are those of its services as this machine reaches them.

    The forge is among them where it is inside.
    """

    state_dir: Path
    urls: dict[str, str]
    http: httpx.Client = field(repr=False)

    def x1(self, *words: str, seconds: float = 120) -> str:
        """A command on this installation."""
        return run(*self.command(*words), seconds=seconds)

    def command(self, *words: str) -> list[str]:
        """Its whole line: the directory's option goes behind the command's own words."""
        position = 2 if words[0] in {"agents", "previews", "grants", "approvals"} else 1
        return [X1, *words[:position], "--state-dir", str(self.state_dir), *words[position:]]

    def get(self, path: str, **query: Any) -> Any:
        return self._asked("GET", path, params=query).json()

    def post(self, path: str, body: Any) -> Any:
        """A wake is told once, though its answer may be lost with a forwarded port, and it is asked for again."""
        once = {"idempotency-key": secrets.token_hex(8)}
        return self._asked("POST", path, json=body, headers=once).json()

    def _asked(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        answer = patiently(lambda: self.http.request(method, path, **arguments))
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer

    def start(self, agent: str, text: str) -> str:
        return self.post("/api/sessions", {"agent": agent, "text": text})["session_id"]

    def session(self, session_id: str) -> dict[str, Any]:
        return self.get(f"/api/sessions/{session_id}")

    def events(self, session_id: str, after: int = 0, kind: str = "") -> list[dict[str, Any]]:
        """All of them, oldest first: the relay tells a page at a time."""
        told: list[dict[str, Any]] = []
        is_whole = False
        while not is_whole:
            since = told[-1]["sequence"] if told else after
            asked = {"after": since, "limit": MOST_EVENTS}
            page = self.get(f"/api/sessions/{session_id}/events", **asked)["events"]
            told += page
            is_whole = len(page) < MOST_EVENTS
        return [each for each in told if not kind or each["type"] == kind]

    def say(self, session_id: str, text: str) -> str:
        return self.post("/api/wakes", {"session_id": session_id, "text": text})["id"]

    def words(self, session_id: str) -> list[str]:
        """What the agent said, in order."""
        return [e["payload"]["text"].strip() for e in self.events(session_id, kind="agent.text")]

    def heard(self, session_id: str, word: str, seconds: float = PATIENCE_SECONDS) -> str:
        """The first thing it said that holds `word`."""

        def look() -> str | None:
            return next((each for each in self.words(session_id) if word in each), None)

        return until(look, f"{word!r} of session {session_id}", seconds)

    def pods(self, session_id: str) -> list[dict[str, Any]]:
        """Of its activations that have not ended, the newest last."""
        run_ids = {
            each["flow_run_id"]
            for each in self.session(session_id).get("activations", [])
            if each.get("flow_run_id")
        } or {self.session(session_id)["flow_run_id"]}
        found = [
            pod
            for pod in listed("pods", "-n", SESSIONS)
            if pod["metadata"].get("labels", {}).get("prefect.io/flow-run-id") in run_ids
            and pod["status"]["phase"] in {"Pending", "Running"}
            and "deletionTimestamp" not in pod["metadata"]
        ]
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def pod(self, session_id: str) -> str:
        """The name of the pod that runs it now."""
        return until(lambda: self.pods(session_id), f"a pod of {session_id}")[-1]["metadata"][
            "name"
        ]

    def inside(
        self, pod: str, container: str, argv: Sequence[str], given: str | None = None
    ) -> str:
        words = ("exec", "-i", "-n", SESSIONS, pod, "-c", container, "--", *argv)
        return kubectl(*words, given=given, seconds=PATIENCE_SECONDS)

    @contextmanager
    def following(self, pod: str, container: str, path: str) -> Iterator[Path]:
        """A file here that says what one in a container does, as it is written: it outlives the container."""
        tail = ("tail", "-n", "+1", "-s", "0.05", "-F", path)
        words = ("exec", "-n", SESSIONS, pod, "-c", container, "--", *tail)
        with tempfile.NamedTemporaryFile("w") as kept:
            told = subprocess.Popen(["kubectl", *words], stdout=kept, stderr=subprocess.DEVNULL)
            try:
                yield Path(kept.name)
            finally:
                told.terminate()
                told.wait(10)


@contextmanager
def connected() -> Iterator[Cluster]:
    """The relay's answers come over `x1 cluster connect`, as an operator's do."""
    with (
        tempfile.TemporaryDirectory(prefix="x1-cluster-") as home,
        subprocess.Popen(
            [X1, "cluster", "connect", "--state-dir", str(Path(home) / "s"), "--json"],
            stdout=subprocess.PIPE,
            text=True,
        ) as connection,
    ):
        try:
            told = json.loads(_whole_object(connection))
            token = Path(told["operator_token_file"]).read_text().strip()
            urls = {name: told[name] for name in ("relay", "prefect", "forge") if name in told}
            headers = {"authorization": f"Bearer {token}"}
            with httpx.Client(
                base_url=urls["relay"], headers=headers, trust_env=False, timeout=15
            ) as http:
                yield Cluster(Path(home) / "s", urls, http)
        finally:
            connection.terminate()
            connection.wait(30)


def _whole_object(connection: "subprocess.Popen[str]") -> str:
    """What it prints first, to the closing brace; it goes on running."""
    assert connection.stdout is not None
    lines = []
    for line in connection.stdout:
        lines.append(line)
        if line.rstrip() == "}" or (line.startswith("{") and line.rstrip().endswith("}")):
            return "".join(lines)
    raise AssertionError(f"x1 cluster connect ended with {connection.wait()}: {''.join(lines)}")
