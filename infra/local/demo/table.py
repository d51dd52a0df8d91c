"""The last word: who did what, what stands where, how long it took."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from infra.local.cli.output import plain
from infra.local.demo.arc import Arc
from infra.local.demo.inspection import Proof
from infra.local.demo.screen import Screen


def show_table(screen: Screen, arc: Arc, proof: Proof, seconds: float) -> None:
    screen.table(_sessions(arc))
    screen.table(_commits(proof))
    screen.table(_previews(arc, proof))
    runs = arc.lead.get("flow_run_url")
    screen.links(
        {
            "preview": proof.url,
            "session page": arc.lead["url"],
            "Prefect run graph": str(runs or "–"),
            "from start to end": f"{seconds:.0f} s",
        }
    )


def _sessions(arc: Arc) -> Table:
    table = _table("Sessions", "session", "item", "status", "turns", "took", "summary")
    by_parent: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(arc.sessions.values(), key=lambda row: row["created_at"]):
        by_parent[row["parent_session_id"]].append(row)

    def add(row: dict[str, Any]) -> None:
        indent = "  " * row["depth"]
        _row(
            table,
            f"{indent}{row['agent']} {row['id'][-8:]}",
            row["item"],
            row["status"],
            row["turns"],
            _took(row["created_at"], row["ended_at"]),
            row["summary"],
        )
        for child in by_parent[row["id"]]:
            add(child)

    add(arc.lead)
    return table


def _commits(proof: Proof) -> Table:
    table = _table("Commits on main", "repository", "commit", "title")
    for repo, sha, title in proof.commits:
        _row(table, repo, sha[:8], title)
    return table


def _previews(arc: Arc, proof: Proof) -> Table:
    table = _table("Previews", "branch", "status", "serves", "evidence", "url")
    evidence: dict[str, list[str]] = defaultdict(list)
    for event in arc.events:
        if event["type"] == "preview.verified":
            told = event["payload"]
            passed = "passed" if told.get("passed") else "failed"
            evidence[str(told.get("preview_id"))].append(
                f"{passed} @ {str(told.get('revision'))[:8]}"
            )
    for preview in proof.previews:
        _row(
            table,
            preview["branch"],
            preview["status"],
            str(preview["serving"] or "–")[:8],
            ", ".join(evidence[preview["id"]]),
            preview["url"],
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _row(table: Table, *cells: Any) -> None:
    table.add_row(*(Text(plain(cell)) for cell in cells))


def _took(created: str, ended: str | None) -> str:
    if ended is None:
        return "–"
    span = datetime.fromisoformat(ended) - datetime.fromisoformat(created)
    return f"{span.total_seconds():.0f} s"
