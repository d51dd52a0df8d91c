"""nats-server from a wheel: JetStream on disk, operator mode, so that the relay mints limited users."""

import json
import shutil
import sys
from pathlib import Path

from infra.local import probes
from infra.local.component import Component
from infra.local.components import natskeys
from infra.local.files import write_whole
from infra.local.ports import HOST
from infra.local.stack import Stack


def component(stack: Stack) -> Component:
    config = stack.state.run("nats.conf")

    async def prepare() -> None:
        natskeys.generate(stack.state.secret("nats"))
        write_whole(config, json.dumps(_config(stack), indent=2))

    return Component(
        name="nats",
        argv=(_server(), "-c", str(config)),
        directory=stack.state.part("nats"),
        is_ready=probes.says_info(stack.ports["nats"]),
        prepare=prepare,
        url=stack.urls["nats"],
        stop_seconds=10,
    )


def account_seed(stack: Stack) -> Path:
    return stack.state.secret("nats") / natskeys.ACCOUNT_SEED


def relay_creds(stack: Stack) -> Path:
    return stack.state.secret("nats") / natskeys.RELAY_CREDS


def _config(stack: Stack) -> dict[str, object]:
    """nats-server reads JSON as its own configuration language."""
    keys = natskeys.read(stack.state.secret("nats"))
    return {
        "host": HOST,
        "port": stack.ports["nats"],
        "server_name": "x1-local",
        "operator": keys.operator_jwt,
        "resolver": "MEMORY",
        "resolver_preload": {keys.account_id: keys.account_jwt, keys.system_id: keys.system_jwt},
        "system_account": keys.system_id,
        "jetstream": {"store_dir": str(stack.state.part("nats") / "jetstream")},
        "max_payload": 1 << 20,
    }


def _server() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if beside.exists() else (shutil.which("nats-server") or "nats-server")
