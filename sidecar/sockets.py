"""A service's Unix socket: there only once it answers, and for whom it is meant alone."""

import os
import socket
from pathlib import Path


def listen(path: Path, mode: int, backlog: int = 16) -> socket.socket:
    """Non-blocking, listening at `path` with `mode`. A socket left by a killed service is replaced.

    It is bound under another name and then renamed: whoever sees the path can connect to it, also in the
    moment between bind and listen.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unready = path.with_name(f"{path.name}~")
    unready.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(~mode & 0o777)
    try:
        listener.bind(str(unready))
        listener.listen(backlog)
        unready.rename(path)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.settimeout(0)
    return listener
