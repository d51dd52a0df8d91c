"""The pod service by itself: when it listens, and how large it is."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from tests.bench import runtime
from tests.bench.figure import Figure, Limit
from tests.bench.stack import Stack, until


def measure(stack: Stack, rounds: int) -> list[Figure]:
    seconds, sizes = zip(*(_start(stack) for _ in range(rounds)), strict=True)
    return [
        Figure(
            "sidecar started → control API answers",
            list(seconds),
            "s",
            limit=Limit("an interpreter that does nothing", _bare_start()),
            target=0.6,
        ),
        Figure(
            "sidecar before a session, RSS",
            list(sizes),
            "MB",
            limit=Limit("the scripted runtime", runtime.resident_megabytes()),
            target=120,
        ),
    ]


def _bare_start() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.monotonic() - began


def _start(stack: Stack) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="x1-b-") as home:
        return _started(stack, Path(home) / "c.sock")


def _started(stack: Stack, path: Path) -> tuple[float, float]:
    environment = os.environ | {
        "X1_RELAY_URL": stack.urls["relay"],
        "X1_CONTROL_SOCKET": str(path),
    }
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "sidecar", "pod"], env=environment, stderr=subprocess.DEVNULL
    )
    until(lambda: _answers(path), "the control API")
    took = time.monotonic() - began
    time.sleep(2)
    size = psutil.Process(process.pid).memory_info().rss / (1 << 20)
    process.terminate()
    process.wait(10)
    return took, size


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as attempt:
        if not path.exists() or attempt.connect_ex(str(path)):
            return False
    transport = httpx.HTTPTransport(uds=str(path))
    with httpx.Client(transport=transport, base_url="http://pod") as http:
        return http.get("/healthz").is_success
