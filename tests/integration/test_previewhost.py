"""The preview host with a real proxy and real apps: what answers is what was started, whatever dies."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import psutil
import pytest
from pids import commands

pytestmark = pytest.mark.real

APP = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-X1-Revision", "forged")
        self.end_headers()
        self.wfile.write(f"{sys.argv[1]} {sorted(os.environ)}".encode())
    def log_message(self, *_): print("asked", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
ONE, TWO = "a" * 40, "b" * 40


def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "it did not come about in time"
        sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@dataclass
class World:
    home: Path
    port: int
    processes: dict[str, subprocess.Popen]

    @property
    def socket(self) -> Path:
        return self.home / "host.sock"

    def start_proxy(self) -> None:
        (self.home / "caddy.sock").unlink(missing_ok=True)
        binary = Path(sys.executable).parent / "caddy"
        command = [str(binary), "run", "--config", str(self.home / "caddy.json")]
        self._start("proxy", command)
        eventually((self.home / "caddy.sock").exists)

    def start_host(self) -> None:
        command = [sys.executable, "-m", "infra.local.previewhost"]
        command += ["--state", str(self.home / "state"), "--socket", str(self.socket)]
        self._start("host", [*command, "--proxy-admin", f"unix:{self.home}/caddy.sock"])
        eventually(self._answers)

    def _start(self, name: str, command: list[str]) -> None:
        self.processes[name] = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as attempt:
            if attempt.connect_ex(str(self.socket)):
                return False
        return self.ask("GET", "/healthz").is_success

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        transport = httpx.HTTPTransport(uds=str(self.socket))
        with httpx.Client(transport=transport, base_url="http://host", timeout=120) as http:
            return http.request(method, path, json=body)

    def deploy(self, revision: str, *words: str, seconds: float = 60) -> httpx.Response:
        body = {
            "argv": [sys.executable, "-c", APP, *(words or [revision[:1]])],
            "cwd": str(self.home),
            "env": {"GREETING": "hello"},
            "url_host": "app-main.localhost",
            "alias_host": f"app-{revision[:8]}.localhost",
            "timeout_seconds": seconds,
        }
        return self.ask("PUT", f"/apps/p1/revisions/{revision}", body)

    def get(self, host: str) -> httpx.Response | None:
        try:
            return httpx.get(
                f"http://127.0.0.1:{self.port}/",
                headers={"host": host},
                trust_env=False,
                timeout=30,
            )
        except httpx.TransportError:
            return None

    def serves(self, host: str, revision: str) -> bool:
        answer = self.get(host)
        return answer is not None and answer.headers.get("x-x1-revision") == revision


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("p")
    made = World(home, free_port(), {})
    server = {
        "listen": [f"127.0.0.1:{made.port}"],
        "automatic_https": {"disable": True},
        "routes": [],
    }
    config = {
        "admin": {"listen": f"unix/{home}/caddy.sock|0600", "config": {"persist": False}},
        "apps": {"http": {"servers": {"previews": server}}},
    }
    (home / "caddy.json").write_text(json.dumps(config))
    made.start_proxy()
    made.start_host()
    yield made
    for process in made.processes.values():
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert [words for _, words, cwd in commands() if cwd == str(home)] == []


def test_an_alias_serves_before_the_branch_url_moves(world: World):
    assert world.deploy(ONE).json()["proven"]
    assert world.serves(f"app-{ONE[:8]}.localhost", ONE)
    assert world.get("app-main.localhost").status_code == 404
    world.ask("POST", "/apps/p1/switch", {"revision": ONE}).raise_for_status()
    assert world.serves("app-main.localhost", ONE)
    assert world.get("app-main.localhost").text.startswith("a ")


def test_the_old_revision_serves_until_the_new_one_is_proven(world: World):
    world.deploy(ONE)
    world.ask("POST", "/apps/p1/switch", {"revision": ONE})
    failed = world.ask(
        "PUT",
        f"/apps/p1/revisions/{TWO}",
        {
            "argv": [sys.executable, "-c", "print('boom'); raise SystemExit(3)"],
            "cwd": str(world.home),
            "url_host": "app-main.localhost",
            "alias_host": "app-b.localhost",
        },
    )
    assert failed.status_code == 422
    assert "ended" in failed.json()["error"]["message"]
    assert failed.json()["log"] == ["boom"]
    assert world.serves("app-main.localhost", ONE)
    world.deploy(TWO)
    world.ask("POST", "/apps/p1/switch", {"revision": TWO})
    assert world.serves("app-main.localhost", TWO)
    assert world.get(f"app-{ONE[:8]}.localhost").status_code == 404


def test_a_listener_that_is_not_the_revisions_own_proves_nothing(world: World):
    quiet = {
        "argv": [sys.executable, "-c", "import time; time.sleep(60)"],
        "cwd": str(world.home),
        "url_host": "app-main.localhost",
        "alias_host": "app-a.localhost",
        "timeout_seconds": 1,
    }
    answer = world.ask("PUT", f"/apps/p1/revisions/{ONE}", quiet)
    assert "did not listen" in answer.json()["error"]["message"]


def test_an_app_sees_nothing_of_ours_in_its_environment(world: World):
    os.environ["X1_CANARY"] = "secret"
    world.deploy(ONE)
    told = world.get(f"app-{ONE[:8]}.localhost").text
    assert "GREETING" in told
    assert "X1_" not in told


def test_a_killed_app_starts_again(world: World):
    pid = world.deploy(ONE).json()["pid"]
    world.ask("POST", "/apps/p1/switch", {"revision": ONE})
    os.killpg(pid, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(pid) or not world.serves("app-main.localhost", ONE))
    eventually(lambda: (a := world.get("app-main.localhost")) is not None and a.is_success)


def test_a_killed_host_finds_its_apps_again_and_they_serve_meanwhile(world: World):
    pid = world.deploy(ONE).json()["pid"]
    world.ask("POST", "/apps/p1/switch", {"revision": ONE})
    world.kill("host")
    assert world.serves("app-main.localhost", ONE)
    world.start_host()
    assert world.ask("GET", "/apps/p1").json() == {"serving": ONE, "revisions": [ONE]}
    assert world.deploy(ONE).json()["pid"] == pid


def test_a_killed_proxy_gets_its_routes_back(world: World):
    world.deploy(ONE)
    world.ask("POST", "/apps/p1/switch", {"revision": ONE})
    world.kill("proxy")
    world.start_proxy()
    eventually(lambda: world.serves("app-main.localhost", ONE))


def test_release_ends_the_processes_and_the_routes(world: World):
    pid = world.deploy(ONE).json()["pid"]
    world.ask("POST", "/apps/p1/switch", {"revision": ONE})
    assert world.ask("DELETE", "/apps/p1").status_code == 204
    assert world.ask("DELETE", "/apps/p1").status_code == 204
    assert not psutil.pid_exists(pid)
    assert world.get("app-main.localhost").status_code == 404
    assert world.ask("GET", "/apps/p1").status_code == 404
