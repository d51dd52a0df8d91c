"""The files of an agent's zone, touched with that zone's own rights. Every path is absolute."""

import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


class PathRefused(ValueError):
    """Not absolute, or it climbs."""


def whole(path: str) -> Path:
    """Raises PathRefused for what is not an absolute path without `..` below the root."""
    parsed = Path(path)
    if not parsed.is_absolute() or ".." in parsed.parts or len(parsed.parts) < 2 or "\0" in path:  # noqa: PLR2004 - the root and a name
        raise PathRefused(f"{path!r} is no absolute path of a file")
    return parsed


def make_folders(paths: Sequence[Path]) -> None:
    """Those that are not there, for their owner alone."""
    for path in paths:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)


def remove(path: Path) -> None:
    """A tree, a file or nothing; a symbolic link is removed, not followed."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def put(path: Path, content: bytes, mode: int) -> None:
    """Replaces the file whole: a symbolic link left there by an agent is not followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def install(part: Path, path: Path) -> None:
    """Renames `part` to `path`. An empty directory may stand there; anything else is moved aside."""
    if path.exists():
        with suppress(OSError):
            path.rmdir()
    if path.exists():
        path.rename(path.with_name(f"{path.name}.aside-{secrets.token_hex(4)}"))
    part.rename(path)
