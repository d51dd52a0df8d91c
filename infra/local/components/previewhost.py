"""Keeps the processes of previews and their routes; outlives the flow runs that deploy them."""

import sys
from pathlib import Path

from infra.local import probes
from infra.local.component import Component
from infra.local.components import proxy
from infra.local.stack import Stack


def component(stack: Stack) -> Component:
    return Component(
        name="previewhost",
        argv=(
            *(sys.executable, "-m", "infra.local.previewhost"),
            *("--state", str(stack.state.part("previews")), "--socket", str(socket(stack))),
            *("--proxy-admin", f"unix:{proxy.admin(stack)}"),
            *("--proxy-port", str(stack.ports["previews"])),
        ),
        directory=stack.state.part("previews"),
        after=("proxy",),
        is_ready=probes.unix(socket(stack)),
        stop_seconds=10,
    )


def socket(stack: Stack) -> Path:
    return stack.state.socket("previewhost.sock")
