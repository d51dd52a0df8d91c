"""x1 logs: the last lines that components wrote, then more as they come."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from infra.local.cli import output
from infra.local.errors import WrongUsage
from infra.local.state import StateDir

POLL_SECONDS = 0.2
TAIL_BYTES = 1 << 20

Tell = Callable[[Path, str], None]
"""Prints one line of one component's log."""


def show(
    state: StateDir, component: str | None, *, follow: bool, lines: int, as_json: bool
) -> None:
    """Raises WrongUsage for a component that has no log."""
    paths = _logs(state, component)
    tell = _as_json if as_json else _as_named_line if component is None else _as_line
    for path in paths:
        for text in _tail(path, lines):
            tell(path, text)
    if follow:
        _follow(paths, tell)


def _logs(state: StateDir, component: str | None) -> list[Path]:
    known = sorted((state.root / "logs").glob("*.log"))
    if component is None:
        return known
    chosen = [path for path in known if path.stem == component]
    if not chosen:
        names = ", ".join(path.stem for path in known) or "none yet"
        raise WrongUsage(
            expected=f"one of: {names}", came=f"no log of {component!r}", then="x1 status"
        )
    return chosen


def _tail(path: Path, lines: int) -> list[str]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-lines:] if lines else []


def _follow(paths: list[Path], tell: Tell) -> None:
    """Until Ctrl-C; a rotated file is read from its new beginning."""
    files: dict[Path, IO[str]] = {path: path.open(errors="replace") for path in paths}
    for file in files.values():
        file.seek(0, 2)
    while True:
        for path, file in files.items():
            if path.stat().st_size < file.tell():
                file.seek(0)
            for text in file.read().splitlines():
                tell(path, text)
        sys.stdout.flush()
        time.sleep(POLL_SECONDS)


def _as_line(_: Path, text: str) -> None:
    output.line(output.plain(text))


def _as_named_line(path: Path, text: str) -> None:
    output.line(f"{path.stem:<12} {output.plain(text)}")


def _as_json(path: Path, text: str) -> None:
    output.line(json.dumps({"component": path.stem, "line": text}))
