"""The state directory: everything a stack keeps, in one place that can be deleted as one.

`X1_STATE_DIR`, or `x1flows` under the XDG state directory. Only this user may enter it.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.errors import NoStateDir

PARTS = ("postgres", "nats", "prefect", "forge", "relay", "sessions", "builds", "previews")
PARTS_OF_THE_STACK = ("secrets", "logs", "run")
LONGEST_SOCKET_DIRECTORY = 70
"""Unix socket paths end at 104 bytes on macOS and 108 on Linux; names under it need some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDir:
    root: Path

    @classmethod
    def of(cls, environment: Mapping[str, str], given: Path | None = None) -> "StateDir":
        """The directory that was given, else the environment's, else the default."""
        named = given or environment.get("X1_STATE_DIR")
        if named:
            return cls(root=Path(named).expanduser().absolute())
        home = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        return cls(root=Path(home) / "x1flows")

    def create(self) -> None:
        """Repeatable. Raises NoStateDir."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o700)
            for part in (*PARTS, *PARTS_OF_THE_STACK):
                (self.root / part).mkdir(exist_ok=True)
                (self.root / part).chmod(0o700)
        except OSError as error:
            raise NoStateDir(self.root, error) from error

    def part(self, name: str) -> Path:
        return self.root / name

    def secret(self, name: str) -> Path:
        return self.root / "secrets" / name

    def log(self, component: str) -> Path:
        return self.root / "logs" / f"{component}.log"

    def run(self, name: str) -> Path:
        """A file about the running stack: lock, records, status, ports."""
        return self.root / "run" / name

    def socket(self, name: str) -> Path:
        """Where a Unix socket goes: in the state directory, or a short directory named after it."""
        directory = self._sockets()
        directory.mkdir(mode=0o700, exist_ok=True)
        if directory.stat().st_uid != os.getuid():
            raise PermissionError(f"{directory} belongs to another user")
        return directory / name

    def forget_sockets(self) -> None:
        """When nothing runs any more: a short directory outside this one must not stay."""
        directory = self._sockets()
        if directory != self.root / "run":
            shutil.rmtree(directory, ignore_errors=True)

    def _sockets(self) -> Path:
        directory = self.root / "run"
        if len(str(directory)) <= LONGEST_SOCKET_DIRECTORY:
            return directory
        digest = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"x1-{os.getuid()}-{digest}"
