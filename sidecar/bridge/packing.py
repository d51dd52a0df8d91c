"""A zone's paths into a tar: what git does not ignore, whatever else goes on there meanwhile.

What vanishes, shrinks or cannot be read while it is packed is left out or padded: an agent's programs go on
writing. Two packings of what did not change are the same bytes.
"""

import os
import stat
import subprocess
import tarfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from sidecar.bridge.tools import with_own_tools

GIT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """`names` and `without` are relative to `root`. `env` is for git, which says what is ignored."""

    root: Path
    names: Sequence[str]
    without: Collection[str] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])


def pack(selection: Selection, out: IO[bytes]) -> None:
    """Blocks; ends with OSError when nobody reads `out` any more."""
    with tarfile.open(fileobj=out, mode="w|") as tar:
        packer = _Packer(selection, tar)
        waiting = list(reversed(selection.names))
        while waiting:
            waiting += reversed(packer.add(waiting.pop()))


class _Packer:
    def __init__(self, selection: Selection, tar: tarfile.TarFile) -> None:
        self._root = selection.root
        self._env = with_own_tools(selection.env)
        self._left_out = set(selection.without)
        self._tar = tar

    def add(self, name: str) -> list[str]:
        """What is inside it, to be added next: a tree may be deeper than a stack."""
        if name in self._left_out:
            return []
        path = self._root / name
        try:
            mode = path.lstat().st_mode
        except OSError:
            return []
        if stat.S_ISDIR(mode):
            return self._add_folder(path, name)
        if stat.S_ISREG(mode):
            self._add_file(path, name)
        elif stat.S_ISLNK(mode):
            self._add_plain(path, name)
        # Sockets, pipes and devices are nobody's state.
        return []

    def _add_folder(self, path: Path, name: str) -> list[str]:
        if os.path.lexists(path / ".git"):
            self._left_out |= {f"{name}/{each}" for each in ignored(path, self._env)}
        self._add_plain(path, name)
        try:
            return sorted(f"{name}/{each.name}" for each in path.iterdir())
        except OSError:
            return []

    def _add_plain(self, path: Path, name: str) -> None:
        try:
            member = self._tar.gettarinfo(path, arcname=name)
        except OSError:
            return
        self._tar.addfile(_nobodys(member))

    def _add_file(self, path: Path, name: str) -> None:
        try:
            # Not blocked by a pipe, nor led away by a link, that took the file's place.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return
            member = _nobodys(self._tar.gettarinfo(arcname=name, fileobj=file))
            self._tar.addfile(member, _Steady(file))


class _Steady:
    """A file that has as many bytes as it had when it was looked at."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, count: int = 0) -> bytes:
        return self._file.read(count).ljust(count, b"\0")


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Names of users mean nothing elsewhere; whole seconds need no extended header."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = int(member.mtime)
    return member


def ignored(tree: Path, env: Mapping[str, str]) -> list[str]:
    """What git ignores in a working tree, folders whole; nothing when git does not say."""
    asked = ("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
    told = b""
    with suppress(OSError, subprocess.SubprocessError):
        # Its exit status may have gone to whoever reaps every child here, so it is not looked at.
        told = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *asked],
            cwd=tree,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=GIT_SECONDS,
            check=False,
        ).stdout
    return [os.fsdecode(each).rstrip("/") for each in told.split(b"\0") if each]
