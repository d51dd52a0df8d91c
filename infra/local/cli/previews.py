"""x1 previews: running copies of revisions, at URLs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from infra.local.cli.options import JsonOption, StateDirOption, state_dir

PANEL = "Previews"
COLUMNS = ("id", "status", "repo", "branch", "revision", "url")
Id = Annotated[str, typer.Argument(metavar="ID", help="May be abbreviated.")]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        help="List the previews; read, roll back or release one.", invoke_without_command=True
    )
    group.callback()(previews)
    group.command()(logs)
    group.command()(release)
    group.command()(rollback)
    app.add_typer(group, name="previews", rich_help_panel=PANEL)


def previews(
    context: typer.Context, directory: StateDirOption = None, *, as_json: JsonOption = False
) -> None:
    """List the previews."""
    if context.invoked_subcommand is not None:
        return
    from infra.local.cli import output  # noqa: PLC0415 - only when it is asked for
    from infra.local.cli.relay import connect  # noqa: PLC0415

    found = connect(state_dir(directory)).listing("/api/previews", "previews")
    if as_json:
        output.show_json(found)
    elif found:
        output.table(COLUMNS, ([row.get(column) for column in COLUMNS] for row in found))
    else:
        output.line("no previews")


def logs(
    preview: Id,
    directory: StateDirOption = None,
    *,
    source: Annotated[str, typer.Option(help="build or app")] = "app",
    tail: Annotated[int, typer.Option(min=1, max=5000)] = 200,
    as_json: JsonOption = False,
) -> None:
    """Print a preview's log."""
    from infra.local.cli import output  # noqa: PLC0415

    relay, preview_id = _preview(directory, preview)
    found = relay.get(f"/api/previews/{preview_id}/logs", source=source, tail=tail)
    if as_json:
        output.show_json(found)
        return
    lines = found.get("lines", found.get("text", "")) if isinstance(found, dict) else found
    output.line(output.block(lines if isinstance(lines, str) else "\n".join(map(str, lines))))


def release(preview: Id, directory: StateDirOption = None, *, as_json: JsonOption = False) -> None:
    """Take a preview down."""
    from infra.local.cli import output  # noqa: PLC0415

    relay, preview_id = _preview(directory, preview)
    answer = relay.post(f"/api/previews/{preview_id}/release")
    if as_json:
        output.show_json(answer)
    else:
        output.fields(answer)


def rollback(preview: Id, directory: StateDirOption = None, *, as_json: JsonOption = False) -> None:
    """Serve the last verified revision again."""
    from infra.local.cli import output  # noqa: PLC0415

    relay, preview_id = _preview(directory, preview)
    answer = relay.post(f"/api/previews/{preview_id}/rollback")
    if as_json:
        output.show_json(answer)
    else:
        output.fields(answer)


def _preview(directory: Path | None, given: str) -> tuple[Any, str]:
    from infra.local.cli.relay import connect, the_one  # noqa: PLC0415

    relay = connect(state_dir(directory))
    found = relay.listing("/api/previews", "previews")
    return relay, the_one(found, given, key="id", what="preview", listed_by="x1 previews")
