"""What a conversation says: ACP updates, sent and kept, so that `session/load` can tell them again."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

MAX_OUTPUT: Final = 32 * 1024
MAX_TRANSCRIPT: Final = 4 * 1024 * 1024
Update = dict[str, Any]
Send = Callable[[Update], None]


class Voice:
    def __init__(self, send: Send, transcript: Path) -> None:
        self._send = send
        self._transcript = transcript

    def replay(self) -> None:
        """The newest updates, oldest first; a line that a crash cut short is passed over."""
        if not self._transcript.exists():
            return
        kept = self._transcript.read_bytes()
        if len(kept) > MAX_TRANSCRIPT:
            kept = kept[-MAX_TRANSCRIPT // 2 :].partition(b"\n")[2]
            self._transcript.write_bytes(kept)
        for line in kept.splitlines():
            try:
                self._send(json.loads(line))
            except ValueError:
                continue

    def was_told(self, text: str) -> None:
        """The prompt itself, for the replay alone: who sent it knows it."""
        self._keep(_chunk("user_message_chunk", text))

    def say(self, text: str) -> None:
        self._tell(_chunk("agent_message_chunk", _line(text)))

    def think(self, text: str) -> None:
        self._tell(_chunk("agent_thought_chunk", _line(text)))

    def plan(self, entries: list[dict[str, str]]) -> None:
        self._tell({"sessionUpdate": "plan", "entries": entries})

    def begin(self, title: str, kind: str, given: Any) -> str:
        """A tool call that has begun; its id."""
        call = f"call-{uuid.uuid4().hex[:12]}"
        self._tell(
            {
                "sessionUpdate": "tool_call",
                "toolCallId": call,
                "title": title,
                "kind": kind,
                "status": "in_progress",
                "rawInput": given,
            }
        )
        return call

    def progress(self, call: str, output: str) -> None:
        """What a tool has put out so far; not kept."""
        self._send(
            {
                "sessionUpdate": "tool_call_update",
                "toolCallId": call,
                "status": "in_progress",
                "content": _content(output),
            }
        )

    def finish(self, call: str, title: str, output: str, *, is_good: bool) -> None:
        self._tell(
            {
                "sessionUpdate": "tool_call_update",
                "toolCallId": call,
                "title": title,
                "status": "completed" if is_good else "failed",
                "content": _content(output),
            }
        )

    def _tell(self, update: Update) -> None:
        self._keep(update)
        self._send(update)

    def _keep(self, update: Update) -> None:
        with self._transcript.open("a") as transcript:
            transcript.write(json.dumps(update) + "\n")


def shortened(text: str, limit: int = MAX_OUTPUT) -> str:
    """Beginning and end: what failed is mostly said last."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 4]}\n… ({len(text) - limit} characters left out)\n{text[-limit * 3 // 4 :]}"


def _line(text: str) -> str:
    """Chunks are joined by those who read them; each step's text is a paragraph of its own."""
    return f"{text.rstrip()}\n"


def _chunk(kind: str, text: str) -> Update:
    return {"sessionUpdate": kind, "content": {"type": "text", "text": text}}


def _content(output: str) -> list[dict[str, Any]]:
    return [{"type": "content", "content": {"type": "text", "text": shortened(output)}}]
