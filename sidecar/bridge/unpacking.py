"""A tar that may have been written by an enemy, into a folder of its own.

Stricter than tarfile's `data` filter: every name is plain, nothing but files, folders and links is taken, and
symbolic links, which may point anywhere, are made last, so that nothing is ever written through one.
"""

import os
import shutil
import tarfile
from pathlib import Path
from typing import IO, Final

COPY_BYTES: Final = 1 << 20


class BadArchive(ValueError):
    """It holds what no archive of ours does."""


def unpack(source: IO[bytes], root: Path) -> None:
    """Blocks. `root` is there and empty. Raises BadArchive, OSError; then some of it lies there."""
    try:
        _extract(source, root.resolve())
    except (tarfile.TarError, LookupError, ArithmeticError, EOFError) as error:
        raise BadArchive(f"this is no archive: {error}") from error


def _extract(source: IO[bytes], root: Path) -> None:
    links: list[tuple[str, str]] = []
    with tarfile.open(fileobj=source, mode="r|") as tar:
        for member in tar:
            _require_plain(member.name)
            if member.issym():
                links.append((member.name, member.linkname))
            else:
                _make(tar, member, root)
    for name, target in links:
        _link(root, name, target)


def _make(tar: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    """Not `extractall` with a filter: Python has those since 3.11.4 only."""
    path = root / member.name
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if member.islnk():
        _require_plain(member.linkname)
        os.link(root / member.linkname, path, follow_symlinks=False)
    elif member.isreg() and not member.issparse():
        _write(tar, member, path)
    else:
        raise BadArchive(f"{member.name[:100]!r} is neither file, folder nor link")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Its owner's to read and write, nobody else's to write; executable when it was."""
    content = tar.extractfile(member)
    assert content is not None
    with path.open("xb") as file:
        shutil.copyfileobj(content, file, COPY_BYTES)
    may = member.mode & 0o755 | 0o600
    path.chmod(may if may & 0o100 else may & ~0o111)
    os.utime(path, (member.mtime, member.mtime))


def _require_plain(name: str) -> None:
    if name.startswith("/") or "\0" in name or not {"..", "."}.isdisjoint(name.split("/")):
        raise BadArchive(f"{name[:100]!r} is no plain name")


def _link(root: Path, name: str, target: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.resolve() != path.parent:
        raise BadArchive(f"{name[:100]!r} lies behind a link")
    path.symlink_to(target)
