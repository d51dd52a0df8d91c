"""`python -m infra.cluster.prefect_server`: Prefect's server, which finds its secrets in a directory.

It takes these three from its environment alone. They are put there once it runs: what a process was started with
stands in /proc and in every description of its container, what it adds itself does not.
"""

import os
from pathlib import Path
from typing import Final

import uvicorn

SECRETS: Final = {
    "PREFECT_SERVER_API_AUTH_STRING": "auth-string",
    "PREFECT_SERVER_ENCRYPTION_KEY": "encryption-key",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "connection-url",
}
"""Settings by the files that hold them."""
PORT: Final = 4200


def read_secrets(directory: Path) -> dict[str, str]:
    """Raises OSError when one is not there."""
    return {name: (directory / file).read_text().strip() for name, file in SECRETS.items()}


def main() -> None:
    os.environ.update(read_secrets(Path(os.environ["X1_PREFECT_SECRETS_DIR"])))
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host="0.0.0.0",  # noqa: S104  a pod's policies say who may ask
        port=PORT,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
