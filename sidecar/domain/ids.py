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
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then randomness."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))
