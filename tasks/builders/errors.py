"""What a builder can fail with.

BuildFailed    the revision's own fault: told to its author with the last lines, never repeated
FetchFailed    the forge did not hand the revision out: worth repeating
BuildLost      its pod was taken away, or what it needs was away: begun again by the builder itself, a few times
"""

from collections.abc import Sequence


class BuildFailed(Exception):
    """`lines` are the end of what the failing step wrote."""

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.lines = tuple(lines)


class FetchFailed(BuildFailed):
    """Git could not fetch the revision."""


class BuildLost(Exception):
    """The pod was evicted or its node is gone; or the registry did not answer. `lines` as above."""

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.lines = tuple(lines)
