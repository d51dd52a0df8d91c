"""`python -m sidecar bridge`: listens on X1_BRIDGE_SOCKET until SIGTERM, and leaves no process behind.

X1_BRIDGE_PEER_UID, when set, is the only user whose connections are taken. X1_BRIDGE_MAX_PROCESSES limits what it
starts, where a kubelet does not (podPidsLimit): a fork bomb then ends at it and not at the node's last process.
`sidecar.bridge.trust` reads what else there is.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from sidecar.bridge import trust
from sidecar.bridge.family import adopt_orphans
from sidecar.bridge.files import PathRefused
from sidecar.bridge.server import Bridge
from sidecar.sockets import listen

GRACE_SECONDS: Final = 2.0


def run() -> int:
    path = Path(os.environ.get("X1_BRIDGE_SOCKET", ""))
    numbers = [
        os.environ.get(f"X1_BRIDGE_{each}") or None for each in ("PEER_UID", "MAX_PROCESSES")
    ]
    if not path.name or not all(each is None or each.isdecimal() for each in numbers):
        sys.stderr.write(
            "a bridge needs X1_BRIDGE_SOCKET; X1_BRIDGE_PEER_UID and X1_BRIDGE_MAX_PROCESSES are numbers\n"
        )
        return 2
    peer_uid, max_processes = (None if each is None else int(each) for each in numbers)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    _trust()
    listener = listen(path, 0o660)
    try:
        return asyncio.run(_serve(listener, peer_uid, max_processes))
    finally:
        listener.close()
        path.unlink(missing_ok=True)


def _trust() -> None:
    """An agent that trusts nobody can still work; what its programs say of certificates leads here."""
    try:
        trust.lay_out(os.environ)
    except (OSError, PathRefused) as error:
        logging.getLogger(__name__).warning("no certificates are laid out: %s", error)


async def _serve(listener: socket.socket, peer_uid: int | None, max_processes: int | None) -> int:
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    adopt_orphans()
    bridge = Bridge(listener, peer_uid=peer_uid, max_processes=max_processes)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(bridge.serve(), name="bridge")
        await over.wait()
        await bridge.end(GRACE_SECONDS)
        serving.cancel()
    return 0
