"""x1 up, down, status, logs, doctor, env, demo: the stack itself."""

from enum import StrEnum
from typing import Annotated

import typer

from infra.local.cli.options import JsonOption, StateDirOption, state_dir

PANEL = "The stack"
Only = Annotated[
    list[str] | None, typer.Option(help="Start only this component and what it needs.", hidden=True)
]


class App(StrEnum):
    """What the child in the demo builds."""

    PYTHON = "python"
    ASTRO = "astro"


def add_to(app: typer.Typer) -> None:
    for command in (up, down, status, logs, doctor, env, demo):
        app.command(rich_help_panel=PANEL)(command)


def up(
    directory: StateDirOption = None,
    *,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay; Ctrl-C ends the stack.")
    ] = False,
    only: Only = None,
) -> None:
    """Start the one-machine stack; a running one is left as it is."""
    from infra.local.cli import starting  # noqa: PLC0415 - only this command needs it

    start = starting.in_foreground if foreground else starting.in_background
    start(state_dir(directory), only or [])


def down(directory: StateDirOption = None) -> None:
    """End the stack and whatever a killed one left behind."""
    from infra.local.cli import stopping  # noqa: PLC0415

    stopping.stop(state_dir(directory))


def status(directory: StateDirOption = None, *, as_json: JsonOption = False) -> None:
    """Show the components; exit code 3 when one is not there."""
    from infra.local.cli import reporting  # noqa: PLC0415

    reporting.show_status(state_dir(directory), as_json=as_json)


def logs(
    component: Annotated[str | None, typer.Argument(help="All, when left out.")] = None,
    directory: StateDirOption = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0)] = 50,
    as_json: JsonOption = False,
) -> None:
    """Print the last lines of the components' logs; with --json one object a line."""
    from infra.local.cli import logs as component_logs  # noqa: PLC0415

    component_logs.show(
        state_dir(directory), component, follow=follow, lines=lines, as_json=as_json
    )


def doctor(directory: StateDirOption = None, *, as_json: JsonOption = False) -> None:
    """Check what this machine offers, and say what one-machine mode does not protect from."""
    from infra.local.cli import doctoring  # noqa: PLC0415

    doctoring.show(state_dir(directory), as_json=as_json)


def env(directory: StateDirOption = None, *, as_json: JsonOption = False) -> None:
    """Shell lines that point `prefect` and `x1` at the running stack: eval "$(x1 env)"."""
    from infra.local.cli import reporting  # noqa: PLC0415

    reporting.show_environment(state_dir(directory), as_json=as_json)


def demo(
    app: Annotated[App, typer.Option(help="What the child builds.")] = App.PYTHON,
    directory: StateDirOption = None,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up at the end.")] = False,
) -> None:
    """Play the whole arc, from nothing to the final table."""
    from infra.local.demo import run  # noqa: PLC0415

    raise typer.Exit(run(app.value, state_dir(directory).root if directory else None, keep))
