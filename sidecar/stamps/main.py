"""`python -m sidecar stamps`: serves until SIGTERM."""

import signal

import uvicorn

from sidecar import logs
from sidecar.stamps.app import create_app
from sidecar.stamps.settings import StampSettings

GRACE_SECONDS = 3


def run() -> int:
    settings = StampSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    logs.configure(settings.log_level)
    config = uvicorn.Config(
        create_app(settings.keys_file),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    for each in (signal.SIGTERM, signal.SIGINT):
        # Uvicorn ends gracefully and raises the signal again, for whoever handled it before.
        signal.signal(each, lambda *_: None)
    server.run()
    return 0 if server.started else 1
