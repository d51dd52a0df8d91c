"""What a memory store holds: one dictionary an aggregate. A transaction works on a copy."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sidecar.domain.agent import Agent
from sidecar.domain.audit import AuditEntry
from sidecar.domain.event import Event
from sidecar.domain.grant import Grant
from sidecar.domain.merge import Merge
from sidecar.domain.preview import Evidence, Operation, Preview
from sidecar.domain.request import HumanRequest
from sidecar.domain.session import Activation, Session
from sidecar.domain.snapshot import Snapshot
from sidecar.domain.wake import Wake


@dataclass(slots=True, kw_only=True)
class State:
    """Aggregates are frozen, so that copying the containers copies everything."""

    sessions: dict[str, Session] = field(default_factory=dict[str, Session])
    activations: dict[str, Activation] = field(default_factory=dict[str, Activation])
    wakes: dict[str, Wake] = field(default_factory=dict[str, Wake])
    events: dict[str, tuple[Event, ...]] = field(default_factory=dict[str, tuple[Event, ...]])
    agents: dict[str, Agent] = field(default_factory=dict[str, Agent])
    grants: dict[str, Grant] = field(default_factory=dict[str, Grant])
    previews: dict[str, Preview] = field(default_factory=dict[str, Preview])
    logs: dict[tuple[str, str], tuple[str, ...]] = field(
        default_factory=dict[tuple[str, str], tuple[str, ...]]
    )
    names: dict[str, str] = field(default_factory=dict[str, str])
    operations: dict[str, Operation] = field(default_factory=dict[str, Operation])
    evidence: dict[str, Evidence] = field(default_factory=dict[str, Evidence])
    merges: dict[tuple[str, str, str], Merge] = field(
        default_factory=dict[tuple[str, str, str], Merge]
    )
    effects: dict[tuple[str, str], dict[str, Any]] = field(
        default_factory=dict[tuple[str, str], dict[str, Any]]
    )
    snapshots: dict[str, Snapshot] = field(default_factory=dict[str, Snapshot])
    requests: dict[str, HumanRequest] = field(default_factory=dict[str, HumanRequest])
    items: dict[tuple[str, str], tuple[str, datetime]] = field(
        default_factory=dict[tuple[str, str], tuple[str, datetime]]
    )
    audit: tuple[AuditEntry, ...] = ()

    def copy(self) -> "State":
        copied = State()
        for each in fields(self):
            held: Any = getattr(self, each.name)
            setattr(copied, each.name, dict(held) if isinstance(held, dict) else held)
        return copied
