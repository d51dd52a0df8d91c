"""Free ports, chosen once and remembered, so that links and shells stay right across restarts.

A remembered port that another program holds now is chosen anew, and the caller is told.
"""

import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path

from infra.local.files import read_json, write_whole

LISTENERS = ("postgres", "nats", "prefect", "forge", "relay", "previews")
RANGE = (20_000, 32_000)
"""Below the ports that systems hand out to outgoing connections."""
HOST = "127.0.0.1"


def choose(path: Path) -> tuple[dict[str, int], list[str]]:
    """The port of each listener, and a notice for each that had to move. Remembers the answer."""
    remembered: Mapping[str, int] = read_json(path) or {}
    chosen: dict[str, int] = {}
    notices: list[str] = []
    for name in LISTENERS:
        port = remembered.get(name)
        if port is not None and is_free(port):
            chosen[name] = port
            continue
        chosen[name] = _free({*remembered.values(), *chosen.values()})
        if port is not None:
            notices.append(
                f"port {port} is taken by another program: {name} moves to {chosen[name]}"
            )
    write_whole(path, json.dumps(chosen, indent=2) + "\n")
    return chosen, notices


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free(taken: set[int]) -> int:
    for _ in range(1_000):
        port = random.randint(*RANGE)  # noqa: S311 - spreads stacks apart; guards nothing
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port between {RANGE[0]} and {RANGE[1]}")
