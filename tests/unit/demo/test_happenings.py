"""What the demo tells of an event, and what it keeps to itself."""

import io

import pytest
from rich.console import Console

from infra.local.demo.happenings import happening_of
from infra.local.demo.screen import Screen


def text_of(kind, **payload):
    happening = happening_of({"type": kind, "payload": payload})
    return happening and happening.text


@pytest.mark.parametrize(
    ("kind", "payload", "said"),
    [
        ("agent.text", {"text": "a\n b"}, "a b"),
        ("agent.text", {"text": " "}, None),
        ("agent.tool_call", {"title": "git push", "tool_kind": "execute"}, "git push"),
        ("agent.tool_call", {"title": "write a.txt", "tool_kind": "edit"}, None),
        (
            "agent.tool_call",
            {"title": "claim_item", "input": {"item": "R-1"}},
            "claim_item item=R-1",
        ),
        ("agent.tool_result", {"status": "completed", "output": "x"}, None),
        ("agent.tool_result", {"status": "failed", "output": "exit 1"}, "exit 1"),
        (
            "wake.read",
            {"wakes": [{"kind": "message", "sender": "bob"}]},
            "woken by message from bob",
        ),
        ("wake.read", {}, "woken"),
        (
            "preview.ready",
            {"revision": "a" * 40, "url": "http://x"},
            "preview ready  revision=aaaaaaaa url=http://x",
        ),
        ("session.completed", {"summary": "done"}, "completed: done"),
        ("usage.new", {}, None),
        ("agent.usage", {"turn": 1}, None),
    ],
)
def test_an_event_is_told_in_one_line_or_not_at_all(kind, payload, said):
    assert text_of(kind, **payload) == said


def test_what_agents_write_is_neither_markup_nor_a_terminals_command():
    out = io.StringIO()
    screen = Screen(Console(file=out, width=200, force_terminal=False))
    happening = happening_of(
        {"type": "agent.text", "payload": {"text": "[red]x[/red] \x1b[2J\u202e"}}
    )
    screen.happened("agent", 1, happening)
    assert "[red]x[/red]" in out.getvalue()
    assert "\x1b" not in out.getvalue()
