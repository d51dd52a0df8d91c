"""Since when this relay has been answering without a break.

Holders renew every few seconds. If the relay, its database or the whole machine was away meanwhile, their
silence proves nothing; whoever judges by a deadline asks here first.
"""

from datetime import datetime, timedelta
from typing import Final

LONGEST_STEP: Final = timedelta(seconds=5)
"""Passes run every second. A longer step means that this process, or what it waited for, stood still."""


class Answering:
    def __init__(self) -> None:
        self._since: datetime | None = None
        self._last: datetime | None = None

    def heard(self, now: datetime) -> datetime:
        """Say that the database answered at `now`; returns since when it has."""
        if self._last is None or self._since is None or now - self._last > LONGEST_STEP:
            self._since = now
        self._last = now
        return self._since
