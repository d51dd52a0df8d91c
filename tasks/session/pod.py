"""The sidecar process of one activation on one machine, tied to this process by a lifeline pipe.

The sidecar holds the pipe's read end. When this process dies, however it dies, the kernel closes the
write end and the sidecar stops the runtime's group and itself. Nothing here imports Prefect, so that the
sidecar can start while Prefect is still loading.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

EXIT_TIMEOUT_SECONDS = 20.0
"""A runtime gets a few seconds to save its conversation before its group is killed."""
HANDED_ON = frozenset({"X1_RELAY_URL", "X1_LOG_LEVEL", "X1_STACK_ID", "X1_COMPONENT"})
"""The last two mark whose process it is, so that a stack that goes down leaves none of its own."""
SOCKET_DIR_PREFIX = "x1-pod-"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodProcess:
    """`lifeline` is the write end: closing it ends the sidecar and all it started."""

    process: "subprocess.Popen[bytes]"
    socket: Path
    lifeline: int

    def close(self) -> None:
        """Ends the sidecar and waits for it; kills it when it does not go. Repeatable."""
        _close_quietly(self.lifeline)
        try:
            self.process.wait(EXIT_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.socket.parent, ignore_errors=True)


def start_pod() -> PodProcess:
    """Starts `python -m sidecar pod` with this environment's X1_RELAY_URL. Returns before it listens.

    The socket lies in a short, private, temporary directory: a socket's path may be 104 characters long
    at most on macOS, and a state directory may be deeper than that.
    """
    _sweep_socket_dirs()
    read_end, write_end = os.pipe()
    try:
        home = Path(tempfile.mkdtemp(prefix=f"{SOCKET_DIR_PREFIX}{os.getpid()}-"))
        socket = home / "control.sock"
        process = subprocess.Popen(
            [sys.executable, "-m", "sidecar", "pod"],
            stdin=subprocess.DEVNULL,
            pass_fds=[read_end],
            env=_sidecar_environment(socket, read_end),
            start_new_session=True,
        )
    except BaseException:
        _close_quietly(write_end)
        raise
    finally:
        os.close(read_end)
    return PodProcess(process=process, socket=socket, lifeline=write_end)


def _sidecar_environment(socket: Path, lifeline: int) -> dict[str, str]:
    """The relay's address and its socket: neither Prefect's password nor the activation token."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "X1_")) or name in HANDED_ON
    }
    return kept | {"X1_CONTROL_SOCKET": str(socket), "X1_LIFELINE_FD": str(lifeline)}


def _sweep_socket_dirs() -> None:
    """Removes what a flow and a sidecar that were both killed at once could not."""
    for left in Path(tempfile.gettempdir()).glob(f"{SOCKET_DIR_PREFIX}*"):
        owner = left.name.removeprefix(SOCKET_DIR_PREFIX).split("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)


def _close_quietly(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return
