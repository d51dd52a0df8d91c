"""Events: what happened in a session, in an order that readers can rely on."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sidecar.domain.ids import EnvelopeId, SessionId


class EventType(StrEnum):
    SESSION_STARTED = "session.started"
    SESSION_ACTIVATED = "session.activated"
    SESSION_PARKED = "session.parked"
    SESSION_COMPLETED = "session.completed"
    SESSION_FAILED = "session.failed"
    SESSION_CANCELLED = "session.cancelled"
    AGENT_TEXT = "agent.text"
    AGENT_THOUGHT = "agent.thought"
    AGENT_TOOL_CALL = "agent.tool_call"
    AGENT_TOOL_RESULT = "agent.tool_result"
    AGENT_PLAN = "agent.plan"
    AGENT_STATUS = "agent.status"
    AGENT_USAGE = "agent.usage"
    AGENT_ERROR = "agent.error"
    AGENT_MESSAGE_TO_CALLER = "agent.message_to_caller"
    AGENT_SHARE = "agent.share"
    AGENT_INPUT_REQUEST = "agent.input_request"
    AGENT_GRANT_REQUEST = "agent.grant_request"
    USER_MESSAGE = "user.message"
    WAKE_DELIVERED = "wake.delivered"
    WAKE_READ = "wake.read"
    WAKE_DONE = "wake.done"
    GIT_CLONE = "git.clone"
    GIT_FETCH = "git.fetch"
    GIT_PUSH = "git.push"
    GIT_PUSH_REFUSED = "git.push_refused"
    MODEL_CALL = "model.call"
    MODEL_REFUSED = "model.refused"
    PREVIEW_REQUESTED = "preview.requested"
    PREVIEW_BUILDING = "preview.building"
    PREVIEW_DEPLOYING = "preview.deploying"
    PREVIEW_READY = "preview.ready"
    PREVIEW_FAILED = "preview.failed"
    PREVIEW_VERIFIED = "preview.verified"
    PREVIEW_RELEASED = "preview.released"
    PREVIEW_EXPIRED = "preview.expired"
    MERGE_DONE = "merge.done"
    MERGE_REFUSED = "merge.refused"
    CHILD_SPAWNED = "child.spawned"
    CHILD_ENDED = "child.ended"
    BUDGET_WARNING = "budget.warning"
    BUDGET_EXHAUSTED = "budget.exhausted"
    WATCHDOG_FIRED = "watchdog.fired"


MAX_PAYLOAD_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event before the store numbered it.

    `source` is who observed it (`sidecar`, `relay`); `source_sequence` runs dense from 1 within one
    (session, generation, source) when it came over the bus, and is None for the relay's own events,
    which are written once, inside the transaction they describe. `type` is text, not EventType: a newer
    sidecar may send a type that this relay does not know yet, and it must be kept.
    """

    id: EnvelopeId
    session_id: SessionId
    generation: int
    source: str
    source_sequence: int | None
    timestamp: datetime
    type: str
    payload: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A stored event. `sequence` is dense per session from 1: readers, SSE and `after` use it."""

    id: EnvelopeId
    session_id: SessionId
    sequence: int
    generation: int
    source: str
    source_sequence: int | None
    timestamp: datetime
    type: str
    payload: dict[str, Any]
