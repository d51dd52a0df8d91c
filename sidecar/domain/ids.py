"""Identifiers. All are text; entity ids are UUIDv7, so that they sort by creation time."""

import os
import time
import uuid
from typing import NewType

SessionId = NewType("SessionId", str)
ActivationId = NewType("ActivationId", str)
FlowRunId = NewType("FlowRunId", str)
WakeId = NewType("WakeId", str)
EnvelopeId = NewType("EnvelopeId", str)
GrantId = NewType("GrantId", str)
PreviewId = NewType("PreviewId", str)
OperationId = NewType("OperationId", str)
EvidenceId = NewType("EvidenceId", str)
RequestId = NewType("RequestId", str)
AgentSlug = NewType("AgentSlug", str)
Repository = NewType("Repository", str)
"""`owner/name`."""
Revision = NewType("Revision", str)
"""A full git commit id, 40 hex digits."""


def new_id() -> str:
    """A UUIDv7 (RFC 9562, section 5.7), rising within one process: rows of one millisecond keep their order.

    48 bits of Unix milliseconds, a counter of 12 bits that carries over into them, 62 bits of randomness.
    """
    milliseconds, count = divmod(_stamps.next(), 1 << 12)
    chance = int.from_bytes(os.urandom(8), "big") >> 2
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | count << 64 | 2 << 62 | chance))


class _Stamps:
    """Milliseconds and counter as one number that only rises, as section 6.2 (method 1) has it."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        self._last = max(time.time_ns() // 1_000_000 << 12, self._last + 1)
        return self._last


_stamps = _Stamps()
