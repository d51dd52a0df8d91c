"""x1 grants and approvals: what only a human does."""

from pathlib import Path
from typing import Annotated

import typer

from infra.local.cli.options import JsonOption, StateDirOption, state_dir

PANEL = "What only a human does"
GRANT_COLUMNS = ("id", "agent", "type", "target", "scope", "granted_by", "revoked_at")
APPROVAL_COLUMNS = ("id", "session_id", "kind", "status", "question")


def add_to(app: typer.Typer) -> None:
    grants = typer.Typer(help="Rights of agents.", no_args_is_help=True)
    grants.command("list")(list_grants)
    grants.command()(give)
    grants.command()(revoke)
    approvals = typer.Typer(help="What agents ask.", no_args_is_help=True)
    approvals.command("list")(list_approvals)
    approvals.command()(answer)
    app.add_typer(grants, name="grants", rich_help_panel=PANEL)
    app.add_typer(approvals, name="approvals", rich_help_panel=PANEL)


def list_grants(directory: StateDirOption = None, *, as_json: JsonOption = False) -> None:
    """List the grants."""
    _list(directory, "grants", GRANT_COLUMNS, as_json=as_json)


def give(
    agent: str,
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="spawn, push, merge, model, tool …")],
    target: Annotated[str, typer.Argument(help="An agent's slug, owner/name, or a name.")],
    directory: StateDirOption = None,
    *,
    scope: Annotated[str, typer.Option(help="once, session or persistent")] = "persistent",
    session: Annotated[str | None, typer.Option(help="For scope session.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Give an agent a right."""
    body = {"agent": agent, "type": kind, "target": target, "scope": scope}
    extra = {"session_id": session} if session else {}
    _post(directory, "/api/grants", body | extra, as_json=as_json)


def revoke(
    grant: Annotated[str, typer.Argument(metavar="ID", help="May be abbreviated.")],
    directory: StateDirOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Take a right back; it works on the next call."""
    grant_id = _the_one(directory, "grants", grant, "grant")
    _post(directory, f"/api/grants/{grant_id}/revoke", {}, as_json=as_json)


def list_approvals(directory: StateDirOption = None, *, as_json: JsonOption = False) -> None:
    """List what agents wait for."""
    _list(directory, "approvals", APPROVAL_COLUMNS, as_json=as_json)


def answer(
    approval: Annotated[str, typer.Argument(metavar="ID", help="May be abbreviated.")],
    text: str,
    directory: StateDirOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Answer an agent's question; the session is woken with it."""
    approval_id = _the_one(directory, "approvals", approval, "approval")
    _post(directory, f"/api/approvals/{approval_id}", {"answer": text}, as_json=as_json)


def _list(directory: Path | None, name: str, columns: tuple[str, ...], *, as_json: bool) -> None:
    from infra.local.cli import output  # noqa: PLC0415 - only when it is asked for
    from infra.local.cli.relay import connect  # noqa: PLC0415

    found = connect(state_dir(directory)).listing(f"/api/{name}", name)
    if as_json:
        output.show_json(found)
    elif found:
        output.table(columns, ([row.get(column) for column in columns] for row in found))
    else:
        output.line(f"no {name}")


def _post(directory: Path | None, path: str, body: dict[str, str], *, as_json: bool) -> None:
    from infra.local.cli import output  # noqa: PLC0415
    from infra.local.cli.relay import connect  # noqa: PLC0415

    done = connect(state_dir(directory)).post(path, body)
    if as_json:
        output.show_json(done)
    else:
        output.fields(done)


def _the_one(directory: Path | None, name: str, given: str, what: str) -> str:
    from infra.local.cli.relay import connect, the_one  # noqa: PLC0415

    found = connect(state_dir(directory)).listing(f"/api/{name}", name)
    return the_one(found, given, key="id", what=what, listed_by=f"x1 {name} list")
