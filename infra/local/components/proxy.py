"""Caddy before the previews. The preview host is the only writer of its routes, over the admin socket."""

import json
import shutil
import sys
from pathlib import Path

from infra.local import probes
from infra.local.component import Component
from infra.local.files import write_whole
from infra.local.ports import HOST
from infra.local.stack import Stack


def component(stack: Stack) -> Component:
    config = stack.state.run("caddy.json")

    async def prepare() -> None:
        admin(stack).unlink(missing_ok=True)
        write_whole(config, json.dumps(_config(stack), indent=2))

    return Component(
        name="proxy",
        argv=(_caddy(), "run", "--config", str(config)),
        directory=stack.state.run(""),
        environment={
            "XDG_CONFIG_HOME": str(stack.state.run("caddy")),
            "XDG_DATA_HOME": str(stack.state.run("caddy")),
        },
        prepare=prepare,
        is_ready=probes.tcp(stack.ports["previews"]),
        url=f"http://{HOST}:{stack.ports['previews']}",
    )


def admin(stack: Stack) -> Path:
    """A Unix socket: a preview that found a loopback port could rewrite every route."""
    return stack.state.socket("caddy.sock")


def _config(stack: Stack) -> dict[str, object]:
    """No certificates, no persistence: routes come from the preview host after every start."""
    server = {
        "listen": [f"{HOST}:{stack.ports['previews']}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
        "routes": [],
    }
    return {
        "admin": {"listen": f"unix/{admin(stack)}|0600", "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {"http": {"servers": {"previews": server}}},
    }


def _caddy() -> str:
    beside = Path(sys.executable).parent / "caddy"
    return str(beside) if beside.exists() else (shutil.which("caddy") or "caddy")
