"""Sessions as a table, flat or as the tree of who hired whom."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.local.cli import output

Row = Mapping[str, Any]
SHORT = 8


def show(sessions: Sequence[Row], *, is_tree: bool) -> None:
    if not sessions:
        output.line("no sessions; next: x1 start AGENT")
        return
    rows = _indented(sessions) if is_tree else ((0, row) for row in sessions)
    output.table(
        ("id", "agent", "status", "last event", "summary, or what it waits for"),
        (
            (
                str(row["id"])[-SHORT:],
                "  " * depth + str(row["agent"]),
                row["status"],
                row.get("last_event_at"),
                str(row.get("waits_for") or row.get("summary") or "")[:60],
            )
            for depth, row in rows
        ),
    )


def show_one(session: Row) -> None:
    """Its fields, then whom it hired and what it previews, a line each."""
    related = {"children": session.get("children") or [], "previews": session.get("previews") or []}
    output.fields({name: value for name, value in session.items() if name not in related})
    if related["children"]:
        output.line("\nchildren")
        show(related["children"], is_tree=False)
    if related["previews"]:
        output.line("\npreviews")
        output.table(
            ("branch", "status", "url"),
            ((row["branch"], row["status"], row["url"]) for row in related["previews"]),
        )
    output.line()


def nested(sessions: Sequence[Row]) -> list[dict[str, Any]]:
    """Each session with its `children`."""
    by_parent = _by_parent(sessions)

    def whole(row: Row) -> dict[str, Any]:
        return {**row, "children": [whole(child) for child in by_parent.get(row["id"], [])]}

    return [whole(row) for row in by_parent.get(None, [])]


def _indented(sessions: Sequence[Row]) -> Iterator[tuple[int, Row]]:
    by_parent = _by_parent(sessions)

    def walk(parent: str | None, depth: int) -> Iterator[tuple[int, Row]]:
        for row in by_parent.get(parent, []):
            yield depth, row
            yield from walk(row["id"], depth + 1)

    return walk(None, 0)


def _by_parent(sessions: Sequence[Row]) -> dict[str | None, list[Row]]:
    """A session whose parent is not listed stands at the top."""
    known = {row["id"] for row in sessions}
    found: dict[str | None, list[Row]] = {}
    for row in sorted(sessions, key=lambda row: str(row["id"])):
        parent = row.get("parent_session_id")
        found.setdefault(parent if parent in known else None, []).append(row)
    return found
