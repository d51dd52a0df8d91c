"""Process groups of hostile code: started with nothing of ours in their environment, ended as a group."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import psutil

from infra.local.previewhost.records import Revision

POLL_SECONDS = 0.05
STOP_SECONDS = 5.0
ANSWER_SECONDS = 3.0
MAX_LOG_BYTES = 2 << 20
START_TIME_SLACK = 0.05
SERVER_ERROR = 500


class NotProven(Exception):
    """The revision ended, never listened, or never answered. The message is for the agent that wrote it."""


def start(revision: Revision, home: Path) -> Revision:
    """Starts it on a fresh port and returns its new record. Raises NotProven when there is no such program."""
    port = _free_port()
    log = log_of(home, revision.revision)
    _cut(log)
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                revision.argv,
                cwd=revision.cwd,
                env=_environment(revision, port, home),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise NotProven(f"{revision.argv[0]} cannot be started: {error.strerror}") from error
    started = psutil.Process(process.pid).create_time()
    return revision.model_copy(update={"port": port, "pid": process.pid, "create_time": started})


def log_of(home: Path, revision: str) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    return home / f"{revision[:12]}.log"


def tail(path: Path, lines: int) -> list[str]:
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 256 * 1024))
        text = file.read().decode("utf-8", "replace")
    return text.splitlines()[-lines:]


def _environment(revision: Revision, port: int, home: Path) -> dict[str, str]:
    own = home / "home"
    own.mkdir(parents=True, exist_ok=True)
    return {
        **revision.env,
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(own),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOST": "127.0.0.1",
        revision.port_env: str(port),
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _cut(log: Path) -> None:
    """A log that has grown too long begins anew at the next start."""
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.unlink()


def is_alive(revision: Revision) -> bool:
    """Whether the recorded leader still runs, and not a stranger with its number."""
    try:
        process = psutil.Process(revision.pid)
        same = abs(process.create_time() - revision.create_time) <= START_TIME_SLACK
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


async def prove(revision: Revision, url_host: str, seconds: float) -> None:
    """Waits until the very group that was started listens on its port and answers over HTTP.

    Raises NotProven. Any status below 500 is an answer: what it must say is for checks to judge.
    """
    deadline = time.monotonic() + seconds
    why = "it did not listen on the port it was given"
    async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS) as http:
        while time.monotonic() < deadline:
            reap(revision)
            if not is_alive(revision):
                raise NotProven("it ended before it answered")
            if await asyncio.to_thread(_listens, revision):
                why = await _answers(http, revision, url_host)
                if not why:
                    return
            await asyncio.sleep(POLL_SECONDS)
    raise NotProven(f"{why} within {seconds:g} s")


async def _answers(http: httpx.AsyncClient, revision: Revision, url_host: str) -> str:
    """Empty when it answered, else what was wrong."""
    url = f"http://127.0.0.1:{revision.port}{revision.health_path}"
    try:
        answer = await http.get(url, headers={"host": url_host})
    except httpx.HTTPError as error:
        return f"{revision.health_path} gave no answer ({type(error).__name__})"
    if answer.status_code >= SERVER_ERROR:
        return f"{revision.health_path} answered {answer.status_code}"
    return ""


def _listens(revision: Revision) -> bool:
    """A port may be taken over: only a listener of the group's own counts."""
    for process in group_of(revision.pid):
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections(kind="tcp"):
                is_listener = connection.status == psutil.CONN_LISTEN
                if is_listener and connection.laddr and connection.laddr[1] == revision.port:
                    return True
    return False


def group_of(pgid: int) -> list[psutil.Process]:
    members: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            if os.getpgid(process.pid) == pgid:
                members.append(process)
    return members


async def stop(revision: Revision) -> None:
    """Ends the group, politely and then not. Repeatable."""
    if not is_alive(revision):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(revision.pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            reap(revision)
            if not await asyncio.to_thread(group_of, revision.pid):
                return
            await asyncio.sleep(POLL_SECONDS)


def reap(revision: Revision) -> None:
    """Collects a child that ended; one that an earlier host started is not ours to collect."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(revision.pid, os.WNOHANG)


def _signal(pgid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, number)
