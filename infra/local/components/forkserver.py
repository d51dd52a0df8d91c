"""The process that has Prefect loaded and forks a session's flow runs: an accelerator."""

import sys
from pathlib import Path

from infra.local import probes
from infra.local.component import Component
from infra.local.components import prefect
from infra.local.stack import Stack


def component(stack: Stack) -> Component:
    """Without an address of Prefect's API: a forked flow run brings its own environment."""
    path = socket(stack)

    async def prepare() -> None:
        path.unlink(missing_ok=True)

    return Component(
        name="forkserver",
        argv=(sys.executable, "-m", "flows.forkserver", str(path)),
        directory=stack.state.part("prefect"),
        environment=prefect.common(stack),
        prepare=prepare,
        is_ready=probes.exists(path),
    )


def socket(stack: Stack) -> Path:
    return stack.state.socket("forkserver.sock")
