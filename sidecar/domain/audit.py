"""Audit: every decision, with who, what, whether and why. Written in the transaction it describes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    at: datetime
    actor: str
    """`operator:<name>`, `session:<id>` or `relay`."""
    action: str
    target: str
    allowed: bool
    reason: str
    details: dict[str, Any] = field(default_factory=dict[str, Any])
