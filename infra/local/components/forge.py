"""The embedded forge: GitHub-shaped, over `git http-backend`."""

import sys

from infra.local import probes
from infra.local.component import Component
from infra.local.ports import HOST
from infra.local.stack import Stack

APP_ID = "1"


def component(stack: Stack) -> Component:
    port = stack.ports["forge"]
    return Component(
        name="forge",
        argv=(
            *(sys.executable, "-m", "infra.local.forge"),
            *("--root", str(stack.state.part("forge"))),
            *("--host", HOST, "--port", str(port)),
            *("--app-id", APP_ID, "--app-public-key", str(stack.state.secret("forge-public.pem"))),
            *("--admin-token-file", str(stack.state.secret("forge-admin-token"))),
        ),
        directory=stack.state.part("forge"),
        is_ready=probes.http(port, "/healthz"),
        url=stack.urls["forge"],
    )
