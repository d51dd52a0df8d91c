"""`python -m flows.forked`: Prefect's engine for one flow run, in a child of the fork server when there is one.

The command of work pool `x1-previews`.

The child has this process's standard descriptors, environment and directory; signals are passed on to it,
and its exit code is returned. Killing this process kills the child; a killed server does too.
"""

import json
import os
import runpy
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from flows.forkserver import HEADER

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SERVER_DIED = 70


class NoForkServer(Exception):
    """Nobody listens on the fork server's socket: run the engine here."""


def engine() -> int:
    """Runs the flow run that the environment names. Returns its exit code; an engine started here exits itself."""
    server = os.environ.get("X1_FORK_SERVER")
    if server:
        try:
            return run(Path(server), os.environ)
        except NoForkServer as absent:
            sys.stderr.write(f"no fork server at {server} ({absent}); the engine starts here\n")
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    return 0


def run(server: Path, environment: Mapping[str, str]) -> int:
    """Returns the child's exit code, 128 + n when signal n ended it. Raises NoForkServer."""
    # A signal that comes before the child's pid waits for it: it is the child's, not ours.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            _request(connection, server, environment)
            return _follow(connection.makefile("r"))
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)


def _request(connection: socket.socket, server: Path, environment: Mapping[str, str]) -> None:
    try:
        connection.connect(str(server))
        _ask(connection, environment)
    except OSError as error:
        raise NoForkServer(str(error)) from error


def _ask(connection: socket.socket, environment: Mapping[str, str]) -> None:
    body = json.dumps({"env": dict(environment), "cwd": str(Path.cwd())}).encode()
    descriptors = [stream.fileno() for stream in (sys.stdin, sys.stdout, sys.stderr)]
    socket.send_fds(connection, [HEADER.pack(len(body))], descriptors)
    connection.sendall(body)


def _follow(answers: IO[str]) -> int:
    started = answers.readline()
    if not started:
        return SERVER_DIED
    pid = json.loads(started)["pid"]
    for number in PASSED_ON:
        signal.signal(number, lambda received, _frame: os.kill(pid, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    ended = answers.readline()
    if not ended:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return SERVER_DIED
    code: int = json.loads(ended)["exit"]
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    raise SystemExit(engine())
