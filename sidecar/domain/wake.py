"""Wakes: messages that make a session take a turn, each with a receipt."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sidecar.domain.ids import SessionId, WakeId


class WakeKind(StrEnum):
    USER = "user"
    MESSAGE = "message"
    STATE_CHANGE = "state_change"
    WATCHDOG = "watchdog"
    CHECKUP = "checkup"
    HEARTBEAT = "heartbeat"
    PREVIEW = "preview"
    APPROVAL = "approval"
    BUDGET = "budget"


class Receipt(StrEnum):
    """Where a wake stands. It only ever moves forward, in this order."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    READ = "read"
    DONE = "done"
    UNDELIVERABLE = "undeliverable"

    @property
    def is_final(self) -> bool:
        return self in (Receipt.DONE, Receipt.UNDELIVERABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """`dedupe_key` makes a repeat a no-op within one session. `interruptions` counts turns cut short."""

    id: WakeId
    session_id: SessionId
    kind: WakeKind
    text: str
    created_at: datetime
    payload: dict[str, Any] = field(default_factory=dict[str, Any])
    sender: str = ""
    """Who sent it, in a reader's words: an operator, an agent's slug, `watchdog`."""
    from_session_id: SessionId | None = None
    dedupe_key: str | None = None
    receipt: Receipt = Receipt.ACCEPTED
    attempt: int = 0
    interruptions: int = 0
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    done_at: datetime | None = None


def prompt(wakes: tuple[Wake, ...], *, interrupted: bool = False) -> str:
    """The user message of a turn: text a model reads well, then the payload as JSON.

    Every wake's id is in it, so that a replayed conversation shows whether it was prompted.
    """
    parts: list[str] = []
    if interrupted:
        parts.append(
            "Your previous turn on this message was interrupted before it ended. Look at what stands "
            "(working tree, pushed commits, children, previews) and go on from there."
        )
    parts.extend(_one(wake) for wake in wakes)
    return "\n\n---\n\n".join(parts)


def _one(wake: Wake) -> str:
    record: dict[str, Any] = {"wake_id": wake.id, "kind": wake.kind.value, "attempt": wake.attempt}
    if wake.from_session_id:
        record["from_session_id"] = wake.from_session_id
    if wake.kind is not WakeKind.USER:
        record["driverless"] = True
    if wake.payload:
        record["payload"] = wake.payload
    body = json.dumps(record, ensure_ascii=False, sort_keys=True)
    head = (
        f"Message from {wake.sender}:\n" if wake.sender and wake.kind is not WakeKind.USER else ""
    )
    return f"{head}{wake.text}\n\n```json\n{body}\n```"
