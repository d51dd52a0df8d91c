"""Ways to ask whether a component serves. Each answers within a second and never raises."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import httpx

from infra.local.component import Probe
from infra.local.ports import HOST

PROBE_SECONDS = 1.0
Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def http(port: int, path: str, *, headers: Mapping[str, str] | None = None) -> Probe:
    """Ready when it answers the path with success."""

    async def is_ready() -> bool:
        url = f"http://{HOST}:{port}{path}"
        async with httpx.AsyncClient(trust_env=False, timeout=PROBE_SECONDS) as client:
            try:
                return (await client.get(url, headers=dict(headers or {}))).is_success
            except httpx.HTTPError:
                return False

    return is_ready


def tcp(port: int) -> Probe:
    return _connects(lambda: asyncio.open_connection(HOST, port))


def unix(path: Path) -> Probe:
    return _connects(lambda: asyncio.open_unix_connection(path))


def says_info(port: int) -> Probe:
    """NATS greets every connection; JetStream is in the greeting once it runs."""

    async def is_ready() -> bool:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PROBE_SECONDS):
                reader, writer = await asyncio.open_connection(HOST, port)
                greeting = await reader.readline()
                writer.close()
                return greeting.startswith(b"INFO") and b'"jetstream":true' in greeting
        return False

    return is_ready


def exists(path: Path) -> Probe:
    """Ready when the component wrote this file; whoever starts it removes an old one."""

    async def is_ready() -> bool:
        return await asyncio.to_thread(path.exists)

    return is_ready


def _connects(connect: Connect) -> Probe:
    async def is_ready() -> bool:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PROBE_SECONDS):
                _, writer = await connect()
                writer.close()
                return True
        return False

    return is_ready
