"""What can go wrong on one machine. Every error says what was expected, what came, and what to do next.

LocalError
├── WrongUsage          exit 2: the command cannot mean anything
├── AskedFailed         exit 1: what was asked for failed
└── NotThere            exit 3: a component is not there
    ├── StackNotUp      no supervisor runs for the state directory
    ├── StackIsUp       another supervisor holds the state directory
    ├── NoStateDir      the state directory cannot be made
    └── CannotStart     a component cannot start; names its log
"""

from pathlib import Path


class LocalError(Exception):
    exit_code = 1

    def __init__(self, *, expected: str, came: str, then: str) -> None:
        super().__init__(f"{came}\n  expected: {expected}\n  next:     {then}")
        self.expected = expected
        self.came = came
        self.then = then

    def as_json(self) -> dict[str, str | int]:
        """For another process to raise it again: see `raised_again`."""
        return {
            "expected": self.expected,
            "came": self.came,
            "then": self.then,
            "exit_code": self.exit_code,
        }


class WrongUsage(LocalError):
    exit_code = 2


class AskedFailed(LocalError):
    exit_code = 1


class NotThere(LocalError):
    exit_code = 3


class StackNotUp(NotThere):
    def __init__(self, root: Path) -> None:
        super().__init__(expected="a running stack", came=f"no stack runs in {root}", then="x1 up")


class StackIsUp(NotThere):
    def __init__(self, root: Path, pid: int | None) -> None:
        super().__init__(
            expected="a state directory that no stack uses",
            came=f"a stack already runs in {root} (supervisor {pid or 'starting'})",
            then="x1 status, or x1 down first",
        )


class NoStateDir(NotThere):
    def __init__(self, root: Path, error: OSError) -> None:
        super().__init__(
            expected="a state directory that this user can make and write",
            came=f"{error.filename or root}: {error.strerror or error}",
            then="X1_STATE_DIR=<a directory of yours> x1 up, or x1 doctor",
        )


class CannotStart(NotThere):
    def __init__(self, component: str, reason: str, log: Path) -> None:
        super().__init__(
            expected=f"{component} ready",
            came=f"{component} cannot start: {reason} (log: {log})",
            then=f"x1 logs {component}",
        )
        self.component = component
        self.reason = reason


def of_system(error: OSError) -> LocalError:
    """What the system refused in the middle of a command, in our words."""
    place = f"{error.filename}: " if error.filename else ""
    return AskedFailed(
        expected="files and directories that this user can read and write",
        came=f"{place}{error.strerror or error}",
        then="x1 doctor",
    )


def raised_again(said: dict[str, str]) -> LocalError:
    """The error that another process wrote down, of the kind that has its exit code."""
    kinds = {kind.exit_code: kind for kind in (WrongUsage, AskedFailed, NotThere)}
    kind = kinds[int(said["exit_code"])]
    return kind(expected=said["expected"], came=said["came"], then=said["then"])
