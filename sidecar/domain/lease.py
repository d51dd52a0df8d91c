"""The numbers and rules of leases: who may write, and when a silent holder is replaced."""

from datetime import datetime, timedelta
from typing import Final

TTL: Final = timedelta(seconds=20)
RENEW_EVERY: Final = timedelta(seconds=5)
CLAIM_DEADLINE: Final = timedelta(seconds=60)
TOKEN_LIFETIME: Final = timedelta(minutes=15)
MAX_BARREN_ACTIVATIONS: Final = 5
MAX_INTERRUPTIONS: Final = 3
LOOP_LEASE_TTL: Final = timedelta(seconds=10)


def is_expired(expires_at: datetime | None, now: datetime, answering_since: datetime) -> bool:
    """Whether a holder may be replaced at `now`.

    Time in which the relay did not answer does not count, so nothing is replaced before one full TTL
    of answers, counted from `answering_since`.
    """
    if expires_at is None:
        return False
    return now >= max(expires_at, answering_since + TTL)


def activation_backoff(failures: int) -> timedelta:
    """How long to wait before activation number `failures + 1`: 0, 1, 2, 4, 8 … at most 60 seconds."""
    if failures <= 0:
        return timedelta(0)
    return timedelta(seconds=min(60, 2 ** (failures - 1)))


def holder_of(flow_run_id: str, nonce: str) -> str:
    """Who holds a lease: a flow run, and which of its processes, as one run may be executed again."""
    return f"{flow_run_id}/{nonce}"
