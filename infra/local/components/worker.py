"""Prefect's process workers of both work pools, in one process (`infra.local.workers`)."""

import sys

from infra.local import probes
from infra.local.component import Component
from infra.local.components import forkserver, prefect, previewhost
from infra.local.stack import Stack


def component(stack: Stack) -> Component:
    """It loads Prefect while the server starts. It is stopped, with its flow runs, before all they use."""
    ready = stack.state.run("worker.ready")

    async def prepare() -> None:
        ready.unlink(missing_ok=True)

    return Component(
        name="worker",
        argv=(sys.executable, "-m", "infra.local.workers", str(ready)),
        directory=stack.state.part("sessions"),
        environment=environment(stack),
        after=("prefect", "forkserver", "relay", "forge", "previewhost"),
        waits_itself=True,
        prepare=prepare,
        is_ready=probes.exists(ready),
        stop_seconds=8,
        start_seconds=180,
        sweeps=True,
    )


def environment(stack: Stack) -> dict[str, str]:
    """Flow runs inherit it: nothing here may be more secret than the activation token's path."""
    return {
        **prefect.client(stack),
        "PREFECT_WORKER_QUERY_SECONDS": "0.5",
        "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_RUNNER_CRASH_ON_CANCELLATION_FAILURE": "true",
        "X1_RELAY_URL": stack.urls["relay"],
        "X1_ACTIVATION_TOKEN_FILE": str(stack.state.secret("activation-token")),
        "X1_SESSIONS_DIR": str(stack.state.part("sessions")),
        "X1_BUILDS_DIR": str(stack.state.part("builds")),
        "X1_PREVIEW_HOST_SOCKET": str(previewhost.socket(stack)),
        "X1_FORK_SERVER": str(forkserver.socket(stack)),
    }
