"""What ends a preview's flow early.

OperationOver       not ours any more: another run has it, or a newer wish replaced it; ends quietly
NotProven           the revision died or never answered: its author's to mend
HostUnavailable     the preview host is away: worth repeating
"""

from collections.abc import Sequence


class OperationOver(Exception):
    """The operation was superseded, released or taken over."""


class NotProven(Exception):
    """`message` is in our own words: it ends up in Prefect's states and logs.

    `diagnosis` says why and may quote the app; `lines` are the end of its log.
    """

    def __init__(self, message: str, lines: Sequence[str] = (), *, diagnosis: str = "") -> None:
        super().__init__(message)
        self.lines = tuple(lines)
        self.diagnosis = diagnosis or message


class HostUnavailable(Exception):
    """The preview host does not answer."""
