"""Sockets and servers of the pod: a Unix socket for its flow, a loopback port for its agent."""

import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn

BACKLOG = 128
SHUTDOWN_SECONDS = 2


class Service(uvicorn.Server):
    """A server inside a process that handles its signals itself."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def service(app: Any, *, lifespan: bool = False) -> Service:
    """`app` is any ASGI application. Slow requests are cut off `SHUTDOWN_SECONDS` after `should_exit`."""
    return Service(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="on" if lifespan else "off",
            http="httptools",
            ws="none",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            server_header=False,
        )
    )


def bind_loopback(port: int) -> socket.socket:
    """Listens already: what connects before the server runs waits instead of failing."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(BACKLOG)
    listener.settimeout(0)
    return listener


def remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
