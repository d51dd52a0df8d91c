"""What an agent's `session/update` means as an event. Pure; never raises, whatever the agent sent."""

import json
from typing import Any, Final

from sidecar.domain.event import EventType

Update = dict[str, Any]
Told = tuple[EventType, dict[str, Any]]

MAX_OUTPUT: Final = 64 * 1024
MAX_INPUT: Final = 64 * 1024
_ENDED: Final = ("completed", "failed")
_SILENT: Final = (
    "user_message_chunk",
    "available_commands_update",
    "current_mode_update",
    "config_option_update",
    "session_info_update",
)


def event_of(update: Update) -> Told | None:  # noqa: PLR0911 - a table, one row a kind
    """None for what a reader of the session has no use for."""
    match update.get("sessionUpdate"):
        case "agent_message_chunk":
            return _said(EventType.AGENT_TEXT, update)
        case "agent_thought_chunk":
            return _said(EventType.AGENT_THOUGHT, update)
        case "tool_call" | "tool_call_update":
            return _tool(update)
        case "plan":
            return EventType.AGENT_PLAN, {"entries": update.get("entries")}
        case "usage_update":
            return EventType.AGENT_USAGE, {
                "context_used": update.get("used"),
                "context_size": update.get("size"),
                "cost": update.get("cost"),
            }
        case kind if kind in _SILENT:
            return None
        case kind:
            return EventType.AGENT_STATUS, {"update": str(kind)[:100], "detail": _shown(update)}


def text_of(update: Update) -> str:
    content = update.get("content")
    text = content.get("text") if isinstance(content, dict) else None
    return text if isinstance(text, str) else ""


def _said(kind: EventType, update: Update) -> Told | None:
    text = text_of(update)
    return (kind, {"text": text}) if text else None


def _tool(update: Update) -> Told | None:
    """A call when it begins or its input becomes known; a result when it ends."""
    call = {"tool_call_id": str(update.get("toolCallId"))[:200]}
    if (status := update.get("status")) in _ENDED:
        output = _output(update)
        extra = {"title": update["title"]} if isinstance(update.get("title"), str) else {}
        return EventType.AGENT_TOOL_RESULT, {**call, **extra, "status": status, "output": output}
    is_begin = update.get("sessionUpdate") == "tool_call"
    if not is_begin and not update.get("rawInput"):
        return None
    return EventType.AGENT_TOOL_CALL, {
        **call,
        "title": str(update.get("title") or "")[:500],
        "tool_kind": update.get("kind"),
        "status": status,
        "input": _bounded(update.get("rawInput"), MAX_INPUT),
    }


def _output(update: Update) -> str:
    content = update.get("content")
    texts = (
        [text_of(each) for each in content if isinstance(each, dict)]
        if isinstance(content, list)
        else []
    )
    text = "\n".join(each for each in texts if each)
    raw = update.get("rawOutput")
    if not text and raw is not None:
        text = raw if isinstance(raw, str) else _shown(raw, MAX_OUTPUT)
    return text if len(text) <= MAX_OUTPUT else text[:MAX_OUTPUT] + "\n… (cut)"


def _bounded(value: Any, limit: int) -> Any:
    return value if len(_shown(value, limit + 1)) <= limit else _shown(value, limit)


def _shown(value: Any, limit: int = 4096) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:limit]
