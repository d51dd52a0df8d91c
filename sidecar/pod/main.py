"""`python -m sidecar pod`: the trusted service beside one agent, for one activation.

The control socket listens before anything heavy is imported, so that a flow's first request waits in its
backlog instead of failing. The reverse order of closing: the activation (runtime first, then its servers
and clients), the control API, the socket's file.
"""

import os
import re
import socket
import sys
from pathlib import Path
from typing import Final

from sidecar.pod.unreadable import make_unreadable
from sidecar.sockets import listen

_MODE: Final = re.compile("0?6[06]0")


def run() -> int:
    path = Path(os.environ.get("X1_CONTROL_SOCKET", ""))
    if not path.name or "X1_RELAY_URL" not in os.environ:
        sys.stderr.write("a pod needs X1_CONTROL_SOCKET and X1_RELAY_URL in its environment\n")
        return 2
    mode = os.environ.get("X1_CONTROL_SOCKET_MODE", "0600")
    if not _MODE.fullmatch(mode):
        sys.stderr.write(f"X1_CONTROL_SOCKET_MODE is {mode!r}; it is 0600 or 0660\n")
        return 2
    if "X1_BRIDGE_SOCKET" in os.environ:  # on one machine all is one user's, who may look at it
        make_unreadable()
    listener = listen(path, int(mode, 8))
    try:
        return _serve(listener)
    finally:
        listener.close()
        path.unlink(missing_ok=True)


def _serve(listener: socket.socket) -> int:
    import asyncio  # noqa: PLC0415 - after the socket listens

    from sidecar.logs import configure  # noqa: PLC0415
    from sidecar.pod.service import serve  # noqa: PLC0415
    from sidecar.settings import PodSettings  # noqa: PLC0415

    settings = PodSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    configure(settings.log_level)
    return asyncio.run(serve(settings, listener))
