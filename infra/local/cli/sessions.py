"""x1 start, sessions, show, events, say, cancel: reads and steers sessions through the relay."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from infra.local.cli.options import JsonOption, StateDirOption, state_dir

PANEL = "Sessions"
Id = Annotated[str, typer.Argument(metavar="ID", help="May be abbreviated.")]


def add_to(app: typer.Typer) -> None:
    """`x1 show` and `x1 sessions show` are the same command."""
    group = typer.Typer(help="List the sessions; steer one.", invoke_without_command=True)
    group.callback()(sessions)
    app.command(rich_help_panel=PANEL)(start)
    app.add_typer(group, name="sessions", rich_help_panel=PANEL)
    for command in (show, events, say, cancel):
        app.command(rich_help_panel=PANEL)(command)
        group.command()(command)


def start(
    agent: str,
    text: Annotated[str | None, typer.Option(help="What to tell it.")] = None,
    directory: StateDirOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Start an agent: the same as `prefect deployment run session/AGENT`."""
    from infra.local.cli import launching  # noqa: PLC0415 - the HTTP client is slow to import

    launching.launch(state_dir(directory), agent, text, as_json=as_json)


def sessions(
    context: typer.Context,
    *,
    tree: Annotated[bool, typer.Option("--tree", help="Children under their parents.")] = False,
    status: Annotated[str | None, typer.Option(help="Only these.")] = None,
    directory: StateDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the sessions."""
    if context.invoked_subcommand is not None:
        return
    from infra.local.cli import output  # noqa: PLC0415
    from infra.local.cli import tree as trees  # noqa: PLC0415
    from infra.local.cli.relay import connect  # noqa: PLC0415

    found = connect(state_dir(directory)).listing("/api/sessions", "sessions", status=status)
    if as_json:
        output.show_json(trees.nested(found) if tree else found)
    else:
        trees.show(found, is_tree=tree)


def show(session: Id, directory: StateDirOption = None, *, as_json: JsonOption = False) -> None:
    """Show one session."""
    from infra.local.cli import output  # noqa: PLC0415
    from infra.local.cli import tree as trees  # noqa: PLC0415

    relay, session_id = _session(directory, session)
    found = relay.get(f"/api/sessions/{session_id}")
    if as_json:
        output.show_json(found)
        return
    trees.show_one(found)
    output.line(f"page  {relay.url}/sessions/{session_id}")


def events(
    session: Id,
    directory: StateDirOption = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they come.")] = False,
    types: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Only later sequence numbers.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Print a session's events; with --json one object a line."""
    from infra.local.cli import eventlog  # noqa: PLC0415

    relay, session_id = _session(directory, session)
    wanted = frozenset(part.strip() for part in types.split(",")) if types else None
    eventlog.show(relay, session_id, after, wanted, follow=follow, as_json=as_json)


def say(
    session: Id, text: str, directory: StateDirOption = None, *, as_json: JsonOption = False
) -> None:
    """Send a session a message: it takes a turn."""
    from infra.local.cli import output  # noqa: PLC0415

    relay, session_id = _session(directory, session)
    answer = relay.post("/api/wakes", {"session_id": session_id, "text": text})
    if as_json:
        output.show_json(answer)
    else:
        output.fields(answer)


def cancel(
    session: Id,
    reason: Annotated[str, typer.Option(help="Why; the session's parent is told.")],
    directory: StateDirOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Cancel a session and its descendants."""
    from infra.local.cli import output  # noqa: PLC0415

    relay, session_id = _session(directory, session)
    answer = relay.post(f"/api/sessions/{session_id}/cancel", {"reason": reason})
    if as_json:
        output.show_json(answer)
    else:
        output.fields(answer)


def _session(directory: Path | None, given: str) -> tuple[Any, str]:
    """The relay knows which session is meant, or says what is ambiguous."""
    from infra.local.cli.relay import connect  # noqa: PLC0415

    relay = connect(state_dir(directory))
    return relay, relay.get(f"/api/sessions/{quote(given, safe='')}")["id"]
