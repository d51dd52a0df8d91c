"""The bus as its users see it. NATS JetStream (`sidecar.bus.nats`) and the double pass the same contracts."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from sidecar.domain.ids import SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One bus message of one or more envelopes, unparsed. `sequence` is the stream's."""

    subject: str
    body: bytes
    sequence: int


class Deliveries(Protocol):
    async def fetch(self, limit: int, timeout_seconds: float) -> Sequence[Delivery]:
        """Up to `limit` messages, waiting at most `timeout_seconds` for the first; empty when none came."""
        ...

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """After the commit. What is not acknowledged comes again."""
        ...


class Bus(Protocol):
    async def publish_events(self, session_id: SessionId, body: bytes, message_id: str) -> None:
        """Returns once stored. Repeating a `message_id` stores nothing. Raises BusUnavailable."""
        ...

    async def ring(self, session_id: SessionId, wake_id: str) -> None:
        """Rings the session's doorbell; lost when nobody listens. Raises BusUnavailable."""
        ...

    def doorbell(self, session_id: SessionId) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """What is rung for a session while the context is open. Content is a hint, never trusted."""
        ...

    def deliveries(self) -> AbstractAsyncContextManager[Deliveries]:
        """The persister's durable reading position on all sessions' events."""
        ...

    async def ping(self) -> None:
        """Raises BusUnavailable."""
        ...

    async def aclose(self) -> None: ...
