"""`python -m sidecar egress`: listens until SIGTERM, then lets connections end for a while."""

import asyncio
import signal
import socket

import httpx
import structlog

from sidecar.egress.addresses import Outside
from sidecar.egress.keys import RelayKeys
from sidecar.egress.passes import Passes
from sidecar.egress.proxy import Proxy
from sidecar.egress.resolving import SystemResolver
from sidecar.egress.settings import EgressSettings
from sidecar.egress.shares import Shares
from sidecar.logs import configure
from sidecar.tunnel.accepting import Connections
from sidecar.tunnel.joining import Limits

BACKLOG = 256

log = structlog.stdlib.get_logger(__name__)


def run() -> int:
    settings = EgressSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    configure(settings.log_level)
    with socket.create_server((settings.host, settings.port), backlog=BACKLOG) as listener:
        listener.settimeout(0)
        return asyncio.run(_serve(settings, listener))


async def _serve(settings: EgressSettings, listener: socket.socket) -> int:
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    http = httpx.AsyncClient(base_url=settings.relay_url, trust_env=False)
    async with http, asyncio.TaskGroup() as tasks:
        keys = RelayKeys(http)
        connections = Connections(_proxy(settings, keys).serve, most=settings.connections)
        asking = tasks.create_task(keys.run(), name="relay's keys")
        serving = tasks.create_task(connections.run(listener), name="connections")
        log.info("egress proxy listens", port=settings.port)
        await over.wait()
        connections.no_more()
        await asyncio.wait({serving}, timeout=settings.grace_seconds)
        serving.cancel()
        asking.cancel()
    return 0


def _proxy(settings: EgressSettings, keys: RelayKeys) -> Proxy:
    return Proxy(
        passes=Passes(keys.named),
        resolver=SystemResolver(),
        outside=Outside(opened=settings.open_networks, closed=settings.closed_networks),
        shares=Shares(settings.connections_per_session),
        limits=Limits(
            idle_seconds=settings.idle_seconds,
            life_seconds=settings.life_seconds,
            max_bytes=settings.max_bytes,
        ),
        is_ready=lambda: keys.is_ready,
    )
