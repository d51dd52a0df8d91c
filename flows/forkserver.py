"""`python -m flows.forkserver SOCKET`: a process that has Prefect loaded and forks one child a flow run.

Importing Prefect takes about two seconds, which would be most of the time between an agent's spawn and its
child's first word. A forked child starts with everything loaded and runs the same engine as a fresh process
would. It is an accelerator only: a launcher that finds no server runs the engine itself.

One connection is one flow run. The client sends `length, {"env", "cwd"}` with its three standard
descriptors, reads `{"pid"}` and at the end `{"exit"}`, one JSON object a line. A client that hangs up, as a
killed one does, takes its child with it; so does this server when it stops.
"""

import gc
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from sidecar.sockets import listen

PRELOADED = ("prefect.engine", "prefect.flow_engine", "flows.session", "flows.preview")
HEADER = struct.Struct("!I")
MAX_REQUEST_BYTES = 1 << 20
REQUEST_TIMEOUT_SECONDS = 5.0
STANDARD_DESCRIPTORS = 3
BACKLOG = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a child runs with."""

    environment: dict[str, str]
    directory: str
    descriptors: list[int]


@dataclass(slots=True, kw_only=True)
class ForkServer:
    """Single-threaded on purpose: a fork copies one thread only."""

    listener: socket.socket
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    children: dict[int, socket.socket] = field(default_factory=dict[int, socket.socket])
    is_stopping: bool = False

    def serve(self) -> Job | None:
        """Returns None when it was told to stop, and a job in each forked child."""
        bell = _signal_bell()
        self.selector.register(bell, selectors.EVENT_READ)
        self.selector.register(self.listener, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        while not self.is_stopping:
            for key, _ in self.selector.select():
                if key.fileobj is bell:
                    bell.recv(512)
                elif key.fileobj is self.listener:
                    if (job := self._accept()) is not None:
                        return job
                else:
                    self._hang_up(key.data)
            self._reap()
        for pid in self.children:
            _kill(pid, signal.SIGTERM)
        return None

    def _stop(self, *_: object) -> None:
        self.is_stopping = True

    def _accept(self) -> Job | None:
        connection, _ = self.listener.accept()
        try:
            job = _receive(connection)
        except (OSError, ValueError, KeyError, struct.error) as error:
            sys.stderr.write(f"fork server: a request was refused: {error}\n")
            connection.close()
            return None
        go, say_go = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(say_go)
            self._leave_to_the_child(connection)
            _await(go)
            return job
        os.close(go)
        for descriptor in job.descriptors:
            os.close(descriptor)
        self.children[pid] = connection
        self.selector.register(connection, selectors.EVENT_READ, data=pid)
        _tell(connection, {"pid": pid})
        _say(say_go)
        return None

    def _leave_to_the_child(self, connection: socket.socket) -> None:
        """A child keeps nothing of the server's: no socket, no handler, no wakeup descriptor."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.selector.close()
        for other in (self.listener, connection, *self.children.values()):
            other.close()

    def _hang_up(self, pid: int) -> None:
        """The client said something unexpected or is gone: its flow run must not go on alone."""
        self.selector.unregister(self.children[pid])
        _kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            connection = self.children.pop(pid)
            if connection in (key.fileobj for key in self.selector.get_map().values()):
                self.selector.unregister(connection)
            _tell(connection, {"exit": os.waitstatus_to_exitcode(status)})
            connection.close()


def _signal_bell() -> socket.socket:
    """A descriptor that becomes readable at each signal, so that `select` returns."""
    bell, rings = socket.socketpair()
    bell.settimeout(0)
    rings.settimeout(0)
    signal.set_wakeup_fd(rings.detach(), warn_on_full_buffer=False)
    return bell


def _receive(connection: socket.socket) -> Job:
    connection.settimeout(REQUEST_TIMEOUT_SECONDS)
    head, descriptors, _, _ = socket.recv_fds(connection, HEADER.size, STANDARD_DESCRIPTORS)
    (length,) = HEADER.unpack(head)
    if length > MAX_REQUEST_BYTES or len(descriptors) != STANDARD_DESCRIPTORS:
        raise ValueError(
            f"expected 3 descriptors and at most 1 MiB, came {len(descriptors)}, {length}"
        )
    body = b""
    while len(body) < length:
        piece = connection.recv(length - len(body))
        if not piece:
            raise ValueError("the client hung up in the middle of its request")
        body += piece
    asked = json.loads(body)
    return Job(environment=asked["env"], directory=asked["cwd"], descriptors=list(descriptors))


def _tell(connection: socket.socket, message: dict[str, int]) -> None:
    try:
        connection.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        return


def _say(go: int) -> None:
    with suppress(BrokenPipeError):  # killed already: it is reaped like any other
        os.write(go, b".")
    os.close(go)


def _await(go: int) -> None:
    """Until the client knows this child's pid: of a server that died before that, nobody would end it."""
    was_told = os.read(go, 1)
    os.close(go)
    if not was_told:
        os._exit(1)


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def preload() -> None:
    """Imports what every session flow needs. Nothing may start a thread: forking would lose it."""
    for module in PRELOADED:
        import_module(module)
    names = [thread.name for thread in threading.enumerate()]
    if len(names) > 1:
        raise RuntimeError(f"a fork server must be single-threaded; these run: {', '.join(names)}")
    gc.freeze()


def become(job: Job) -> None:
    """Makes this child what a fresh process with the job's environment would be, then runs the engine."""
    for target, descriptor in enumerate(job.descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.chdir(job.directory)
    os.environ.clear()
    os.environ.update(job.environment)
    _read_settings_again()
    sys.argv = ["prefect.engine"]
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


def _read_settings_again() -> None:
    """Prefect reads its environment when it is imported; the server's may differ from the run's."""
    import_module("prefect.context").refresh_global_settings_context()
    import_module("prefect.logging.configuration").setup_logging()


def main() -> None:
    path = Path(sys.argv[1])
    preload()
    server = ForkServer(listener=listen(path, 0o600, BACKLOG))
    job = server.serve()
    if job is None:
        path.unlink(missing_ok=True)
        return
    become(job)


if __name__ == "__main__":
    main()
