"""What a prompt says: the wakes in it, each with its text and the JSON that follows the text.

A prompt without that JSON, as any ACP client may send it, is one wake of kind `user`.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

_SEPARATOR: Final = "\n\n---\n\n"
_RECORD: Final = re.compile(r"\n\n```json\n(\{[^\n]*\})\n```\s*$")
_HEAD: Final = re.compile(r"^Message from ([^\n]{1,200}):\n")
_INTERRUPTED: Final = re.compile(r"^Your previous turn [^\n]*\n\n(?:---\n\n)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """`id` is empty when the prompt named none."""

    text: str
    id: str = ""
    kind: str = "user"
    sender: str = ""
    from_session_id: str = ""
    attempt: int = 1
    payload: dict[str, Any] = field(default_factory=dict[str, Any])

    def as_names(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "text": self.text,
            "sender": self.sender,
            "from_session_id": self.from_session_id,
            "attempt": self.attempt,
            "payload": self.payload,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """`identity` is the same for a prompt that comes again after a crash."""

    identity: str
    is_named: bool
    wakes: tuple[Wake, ...]


def prompt_of(text: str) -> Prompt:
    body = _INTERRUPTED.sub("", text, count=1)
    wakes: list[Wake] = []
    pending = ""
    for part in body.split(_SEPARATOR):
        pending = f"{pending}{_SEPARATOR}{part}" if pending else part
        if (wake := _wake(pending)) is not None:
            wakes.append(wake)
            pending = ""
    if pending.strip() or not wakes:
        wakes.append(Wake(text=pending.strip()))
    ids = [wake.id for wake in wakes if wake.id]
    digest = hashlib.sha256(body.encode(errors="replace")).hexdigest()
    return Prompt(identity="+".join(ids) or digest, is_named=bool(ids), wakes=tuple(wakes))


def _wake(part: str) -> Wake | None:
    """None while a text's own dashes were taken for the end of its wake."""
    found = _RECORD.search(part)
    record = _record(found[1]) if found else None
    if found is None or record is None:
        return None
    text, sender = part[: found.start()], ""
    if head := _HEAD.match(text):
        sender, text = head[1], text[head.end() :]
    payload = record.get("payload")
    attempt = record.get("attempt")
    return Wake(
        id=str(record["wake_id"]),
        kind=str(record.get("kind") or "user"),
        text=text.strip(),
        sender=sender,
        from_session_id=str(record.get("from_session_id") or ""),
        attempt=attempt if isinstance(attempt, int) else 1,
        payload=payload if isinstance(payload, dict) else {},
    )


def _record(text: str) -> dict[str, Any] | None:
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.get("wake_id") else None
