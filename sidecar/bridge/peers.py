"""Who is at the other end of a Unix socket, as the kernel says (SO_PEERCRED, unix(7))."""

import socket
import struct
from typing import Final

_CREDENTIALS: Final = struct.Struct("3i")
"""pid, uid, gid."""


def is_welcome(peer: socket.socket, uid: int | None) -> bool:
    """None welcomes everybody whom the socket's mode lets in. What does not tell its uid is refused."""
    return uid is None or uid_of(peer) == uid


def uid_of(peer: socket.socket) -> int | None:
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    try:
        told = peer.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
        return _CREDENTIALS.unpack(told)[1]
    except (OSError, struct.error):
        return None
