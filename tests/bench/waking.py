"""When a runtime receives its prompt, and what the way there costs at the very least."""

import asyncio
import statistics
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from infra.local.components import nats
from infra.local.stack import running
from infra.local.state import StateDir
from sidecar.bus.nats import NatsBus, login_of_file
from sidecar.domain.ids import SessionId
from tests.bench.stack import PATIENCE_SECONDS, Stack

LOOK_EVERY_SECONDS = 0.0003
ROUNDS = 50

_watching = ThreadPoolExecutor(max_workers=1)


def prompted_at(transcript: Path) -> "Future[float]":
    """The time at which `transcript` grows next, late by at most one look."""
    return _watching.submit(_grown_at, transcript, transcript.stat().st_size)


def _grown_at(file: Path, size: int) -> float:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while file.stat().st_size == size:
        if time.monotonic() > deadline:
            raise TimeoutError("the runtime was not prompted")
        time.sleep(LOOK_EVERY_SECONDS)
    return time.time()


def limit(stack: Stack) -> float:
    """Seconds: a bell over NATS, publish to receipt, and one HTTP round trip to the relay; medians."""
    trips: list[float] = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        stack.get("/healthz")
        trips.append(time.monotonic() - began)
    return statistics.median(trips) + asyncio.run(_bell(stack))


async def _bell(stack: Stack) -> float:
    local = running(StateDir(root=stack.state_dir))
    assert local is not None
    bus = NatsBus(lambda: login_of_file(local.urls["nats"], nats.relay_creds(local)))
    session_id, rings = SessionId("bench-bell"), list[float]()
    async with bus.doorbell(session_id) as bells:
        for _ in range(ROUNDS):
            began = time.monotonic()
            await bus.ring(session_id, "x")
            await anext(bells)
            rings.append(time.monotonic() - began)
    await bus.aclose()
    return statistics.median(rings)
