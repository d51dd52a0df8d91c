"""Which events a reader of the demo wants to see, and in which words. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    mark: str
    text: str
    style: str = ""


_FILES: Final = ("read", "write", "edit")
_TOLD: Final = (
    "repo",
    "branch",
    "preview_id",
    "item",
    "secrets",
    "summary",
    "child_agent_id",
    "text",
)
_FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "preview": ("branch", "revision", "url", "passed", "evidence_id", "diagnosis"),
    "merge": ("repo", "head", "base", "expected_sha", "merge_sha", "reason"),
    "watchdog": ("slug", "cause", "silent_seconds"),
    "budget": ("scope", "spent", "limit"),
}
_LONGEST: Final = 100
"""Of a value that stands on a line with others."""


def happening_of(event: Mapping[str, Any]) -> Happening | None:
    """None for what would only fill the screen."""
    kind, payload = str(event["type"]), event.get("payload") or {}
    if (word := _WORDS.get(kind)) is not None:
        return word(payload)
    family = kind.partition(".")[0]
    if family in _FAMILIES:
        told = {name: payload[name] for name in _FAMILIES[family] if name in payload}
        words = f"{kind.replace('.', ' ')}  {_pairs(told)}"
        return Happening(mark="◆", text=words, style="bold")
    return None


def _said(mark: str, style: str) -> Callable[[Payload], Happening | None]:
    def said(payload: Payload) -> Happening | None:
        words = " ".join(str(payload.get("text") or "").split())
        return Happening(mark=mark, text=words, style=style) if words else None

    return said


def _tool(payload: Payload) -> Happening | None:
    title, given = str(payload.get("title", "")), payload.get("input")
    if title.split(" ", maxsplit=1)[0] in _FILES:
        return None
    if payload.get("tool_kind") == "execute":
        return Happening(mark="$", text=title, style="dim")
    told = {name: given[name] for name in _TOLD if name in given} if isinstance(given, dict) else {}
    return Happening(mark="→", text=f"{title} {_pairs(told)}".rstrip(), style="dim")


def _result(payload: Payload) -> Happening | None:
    """Only what failed: the call was told when it began."""
    if payload.get("status") != "failed":
        return None
    return Happening(mark="✗", text=str(payload.get("output", "")), style="red")


def _trouble(payload: Payload) -> Happening:
    return Happening(mark="!", text=str(payload.get("text") or _pairs(payload)), style="red")


def _message(payload: Payload) -> Happening:
    return Happening(
        mark="↑", text=str(payload.get("summary") or payload.get("text")), style="bold"
    )


def _woken(payload: Payload) -> Happening:
    """`wakes` are not in the event: whoever reads the stream adds them."""
    by = "; ".join(
        " ".join(part for part in (wake["kind"].replace("_", " "), _from(wake)) if part)
        for wake in payload.get("wakes", ())
    )
    return Happening(mark="☼", text=f"woken by {by}" if by else "woken", style="dim")


def _from(wake: Payload) -> str:
    sender = wake.get("sender")
    return f"from {sender}" if sender else ""


def _state(name: str) -> Callable[[Payload], Happening]:
    def state(payload: Payload) -> Happening:
        told = payload.get("summary") or payload.get("outcome")
        return Happening(mark="■", text=f"{name}: {told}" if told else name, style="bold")

    return state


def _hired(payload: Payload) -> Happening:
    return Happening(
        mark="+", text=f"hired {payload.get('slug')} for {payload.get('item')}", style="bold"
    )


def _pushed(payload: Payload) -> Happening:
    return Happening(mark="⇡", text=f"pushed {_pairs(payload)}", style="bold")


def _refused(payload: Payload) -> Happening:
    return Happening(mark="✗", text=f"push refused: {_pairs(payload)}", style="red")


def _pairs(payload: Payload) -> str:
    """The short values, as `name=value`; commits abbreviated."""
    shown = {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in payload.items()
        if value not in (None, "", [], {})
    }
    return " ".join(
        f"{name}={value[:8] if len(value) == 40 and value.isalnum() else value}"  # noqa: PLR2004 - a commit's id
        for name, value in shown.items()
        if len(value) <= _LONGEST
    )


_WORDS: Final[Mapping[str, Callable[[Payload], Happening | None]]] = {
    "agent.text": _said("“", ""),
    "agent.thought": _said("…", "dim italic"),
    "agent.tool_call": _tool,
    "agent.tool_result": _result,
    "agent.error": _trouble,
    "agent.message_to_caller": _message,
    "wake.read": _woken,
    "session.activated": _state("activated"),
    "session.parked": _state("parked"),
    "session.completed": _state("completed"),
    "session.failed": _state("failed"),
    "session.cancelled": _state("cancelled"),
    "child.spawned": _hired,
    "git.push": _pushed,
    "git.push_refused": _refused,
}
