"""No session takes the proxy for itself: how many connections each has at once."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from sidecar.domain.ids import SessionId


class TooManyConnections(Exception):
    """This session has as many connections as it may have."""


class Shares:
    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[SessionId] = Counter()

    @contextmanager
    def taken(self, session_id: SessionId) -> Generator[None]:
        """Raises TooManyConnections."""
        if self._held[session_id] >= self._most:
            raise TooManyConnections(f"this session has {self._most} connections open already")
        self._held[session_id] += 1
        try:
            yield
        finally:
            self._held[session_id] -= 1
            if not self._held[session_id]:
                del self._held[session_id]
