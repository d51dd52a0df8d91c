"""`python -m sidecar relay`: reads settings, binds the port, serves until SIGTERM. One line when it cannot."""

import signal
import socket
import sys

import structlog
import uvicorn
from pydantic import ValidationError

from sidecar import logs
from sidecar.relay.app import create_app
from sidecar.relay.resources import Resources
from sidecar.settings import RelaySettings

GRACE_SECONDS = 5
"""For open streams at the end: their readers resume elsewhere, so nobody waits longer."""
BACKLOG = 2048
NOT_STARTED = 1
WRONG_USAGE = 2

log = structlog.stdlib.get_logger(__name__)


def run() -> int:
    """Exit code 0 after a graceful end, 1 when it could not start, 2 when settings are missing or wrong."""
    try:
        settings = RelaySettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    except ValidationError as error:
        return _refuse(WRONG_USAGE, _settings_fault(error))
    logs.configure(settings.log_level)
    try:
        resources = Resources.of(settings)
        listener = _bind(settings.host, settings.port)
    except (OSError, ValueError, TypeError) as error:
        return _refuse(NOT_STARTED, str(error))
    with listener:
        return _serve(resources, listener)


def _serve(resources: Resources, listener: socket.socket) -> int:
    app = create_app(resources.services, resources.prepare)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    _end_well_on_signals()
    log.info("relay listens", address=":".join(map(str, listener.getsockname()[:2])))
    server.run(sockets=[listener])
    return 0 if server.started else NOT_STARTED


def _end_well_on_signals() -> None:
    """Uvicorn ends gracefully on a signal and then raises it again for whoever handled it before: nobody."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: None)


def _bind(host: str, port: int) -> socket.socket:
    """Raises OSError that names the address."""
    try:
        return socket.create_server((host, port), backlog=BACKLOG, reuse_port=False)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def _settings_fault(error: ValidationError) -> str:
    faults = (
        f"X1_{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}"
        for each in error.errors(include_input=False, include_url=False)
    )
    return "; ".join(faults)


def _refuse(code: int, reason: str) -> int:
    sys.stderr.write(f"x1 relay cannot start: {reason}\n")
    return code
