"""A preview of a branch in which one file changed, its build's cache being warm."""

import tempfile
import time
from datetime import datetime
from pathlib import Path

from infra.local.forge.seed import seed_repository
from tests.bench.figure import Figure
from tests.support.clusters import Cluster, until

TARGET_SECONDS = 60.0
APP = {
    "Dockerfile": (
        "FROM python:3.11-slim\n"
        "RUN pip install --no-cache-dir --root-user-action=ignore starlette uvicorn\n"
        "WORKDIR /app\nCOPY page.html .\n"
        'CMD ["python", "-m", "http.server", "8000"]\n'
    ),
    "page.html": "first\n",
    ".x1agent/preview.yaml": (
        "apiVersion: x1agent.io/v1\nkind: PreviewSpec\nmetadata: {name: bench-app}\n"
        "spec:\n  entrypoint: {kind: dockerfile, path: Dockerfile}\n"
        "  runtime: {port: 8000, healthcheck: {path: /page.html, periodSeconds: 1}}\n"
    ),
}


def measure(cluster: Cluster, rounds: int) -> Figure:
    token = (cluster.state_dir / "secrets" / "forge-admin-token").read_text().strip()
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in APP.items():
            path = Path(scratch) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        seed_repository(cluster.urls["forge"], token, "bench-co/app", Path(scratch))
    session = cluster.start("bench-shipper", "hello")
    cluster.heard(session, "heard")
    took = [_ship(cluster, session, number) for number in range(rounds + 1)]
    return Figure(
        "preview of a one-file change, warm cache: asked for → ready",
        took[1:],
        "s",
        target=TARGET_SECONDS,
    )


def _ship(cluster: Cluster, session: str, number: int) -> float:
    seen = cluster.events(session)[-1]["sequence"]
    cluster.say(session, f"ship {number}{time.time_ns()}")

    def ready() -> dict[str, datetime] | None:
        found = {e["type"]: _time(e["timestamp"]) for e in cluster.events(session, seen)}
        assert not {"preview.failed", "session.failed"} & found.keys(), cluster.events(
            session, seen
        )
        return found if "preview.ready" in found else None

    times = until(ready, "a preview", 600)
    return (times["preview.ready"] - times["preview.requested"]).total_seconds()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
