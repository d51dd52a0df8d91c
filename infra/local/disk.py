"""Refuses to start on a disk that is nearly full: a database that cannot write its log loses more."""

import shutil
from pathlib import Path

from infra.local.errors import NotThere

LEAST_FREE_BYTES = 1 << 30
"""PostgreSQL's and JetStream's logs, a clone or two, and a build with its packages."""


def require_space(root: Path, least: int = LEAST_FREE_BYTES) -> None:
    free = shutil.disk_usage(root).free
    if free < least:
        raise NotThere(
            expected=f"at least {_megabytes(least)} free for {root}",
            came=f"the disk is nearly full: {_megabytes(free)} free",
            then="free some space, or X1_STATE_DIR=<a directory on another disk> x1 up",
        )


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
