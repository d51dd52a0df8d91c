"""`python -m infra.local.previewhost --state DIR --socket PATH --proxy-admin unix:PATH`: until SIGTERM."""

import argparse
import os
from pathlib import Path

import uvicorn

from infra.local.previewhost.app import create_app
from infra.local.previewhost.host import Host
from infra.local.previewhost.proxy import Proxy


def main() -> None:
    asked = _arguments()
    asked.state.mkdir(parents=True, exist_ok=True)
    asked.socket.unlink(missing_ok=True)
    os.umask(0o077)
    uvicorn.run(
        create_app(Host(asked.state, Proxy(asked.proxy_admin))),
        uds=str(asked.socket),
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=3,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local.previewhost", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--proxy-admin", required=True, help="unix:PATH or a URL")
    parser.add_argument("--proxy-port", type=int, help="where previews are reached")
    return parser.parse_args()


if __name__ == "__main__":
    main()
