"""The scripted runtime by itself: what a session cannot be faster, or smaller, than."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

ARGV = [sys.executable, "-P", "-m", "sidecar.scripted"]
INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": 1}}
ROUNDS = 5


def start_seconds() -> float:
    """From fork to the answer of its ACP `initialize`, median."""
    taken = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        with _initialized():
            taken.append(time.monotonic() - began)
    return statistics.median(taken)


def resident_megabytes() -> float:
    with _initialized() as process:
        return psutil.Process(process.pid).memory_info().rss / (1 << 20)


@contextmanager
def _initialized() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(ARGV, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline()
        yield process
        process.stdin.close()
