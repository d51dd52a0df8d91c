"""One log file a component, capped: a full one is copied aside once and emptied in place.

Components append to the file themselves, so that a killed supervisor takes no component's output with it.
"""

import shutil
from pathlib import Path
from typing import IO

from infra.local.state import StateDir

LARGEST_BYTES = 16 << 20
LAST_WORDS_BYTES = 8 << 10


def opened(path: Path) -> IO[bytes]:
    """For appending; two writers never overwrite each other."""
    return path.open("ab", buffering=0)


def rotate(state: StateDir) -> None:
    for path in (state.root / "logs").glob("*.log"):
        if path.stat().st_size > LARGEST_BYTES:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            with path.open("r+b") as file:
                file.truncate()


def last_words(path: Path, since: int = 0) -> str:
    """The last line that says something, for a reason in one line; empty when there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(since, size - LAST_WORDS_BYTES, 0))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    said = [line for line in lines if any(letter.isalnum() for letter in line)]
    blamed = [line for line in said if "error" in line.lower() or "fatal" in line.lower()]
    return (blamed or said or [""])[-1][:300]
