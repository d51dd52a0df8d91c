"""`python -m infra.local.forge --root DIR --port N …`: serves the embedded forge until SIGTERM."""

import argparse
from pathlib import Path

import uvicorn

from infra.local.forge.app import Forge
from infra.local.forge.repositories import Repositories
from infra.local.forge.tokens import Tokens


def main() -> None:
    asked = _arguments()
    asked.root.mkdir(parents=True, exist_ok=True)
    tokens = Tokens(
        asked.root / "tokens.json",
        app_id=asked.app_id,
        app_public_key=asked.app_public_key.read_text(),
        admin_token=asked.admin_token_file.read_text().strip(),
    )
    uvicorn.run(
        Forge(Repositories(asked.root), tokens),
        host=asked.host,
        port=asked.port,
        http="httptools",
        lifespan="off",
        access_log=False,
        timeout_graceful_shutdown=3,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local.forge", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="where the repositories are")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--app-id", required=True)
    parser.add_argument("--app-public-key", type=Path, required=True, help="PEM")
    parser.add_argument("--admin-token-file", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
