"""x1 agents: agents as code. `plan` shows what `apply` would change."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.local.cli.options import JsonOption, StateDirOption, state_dir
from infra.local.errors import WrongUsage
from infra.local.state import StateDir

PANEL = "Agents"
COLUMNS = ("slug", "kind", "runtime", "model", "description")
DEFAULT = Path(__file__).resolve().parents[3] / "deployments" / "agents"
"""The example's, so that a stack has agents at once."""
Given = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH | SLUG…]",
        help="A file, or a directory of them; with --from-blocks the agents, or all.",
    ),
]
FromBlocks = Annotated[
    bool, typer.Option("--from-blocks", help="What the Agent blocks in Prefect say, not files.")
]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="List, plan and apply agents.", no_args_is_help=True)
    group.command("list")(list_agents)
    group.command()(plan)
    group.command()(apply)
    app.add_typer(group, name="agents", rich_help_panel=PANEL)


def list_agents(directory: StateDirOption = None, *, as_json: JsonOption = False) -> None:
    """List the agents that the relay knows."""
    from infra.local.cli import output  # noqa: PLC0415 - only when it is asked for
    from infra.local.cli.relay import connect  # noqa: PLC0415

    found = connect(state_dir(directory)).listing("/api/agents", "agents")
    if as_json:
        output.show_json(found)
    elif found:
        output.table(COLUMNS, ([row.get(column) for column in COLUMNS] for row in found))
    else:
        output.line("no agents; next: x1 agents apply")


def plan(
    given: Given = None,
    directory: StateDirOption = None,
    *,
    from_blocks: FromBlocks = False,
    as_json: JsonOption = False,
) -> None:
    """Show what applying these files, or the blocks in Prefect, would change."""
    from infra.local.cli import agentblocks, agentfiles  # noqa: PLC0415 - only when it is asked for

    state = state_dir(directory)
    blocks = agentblocks.request(state, given or ()) if from_blocks else None
    _ask("plan", blocks or agentfiles.request(_path(given)), state, as_json=as_json)


def apply(
    given: Given = None,
    directory: StateDirOption = None,
    *,
    from_blocks: FromBlocks = False,
    as_json: JsonOption = False,
) -> None:
    """Write the agents to the relay and register their deployments in Prefect."""
    from infra.local.cli import agentblocks, agentfiles  # noqa: PLC0415 - only when it is asked for

    state = state_dir(directory)
    if from_blocks:
        body = agentblocks.request(state, given or ())
        _ask("apply", body, state, as_json=as_json)
        asyncio.run(agentblocks.register(state, body))
    else:
        path = _path(given)
        _ask("apply", agentfiles.request(path), state, as_json=as_json)
        asyncio.run(agentfiles.register(state, agentfiles.files(path)))


def _path(given: Sequence[str] | None) -> Path:
    """Raises WrongUsage for more than one."""
    if not given:
        return DEFAULT
    if len(given) > 1:
        raise WrongUsage(
            expected="one file, or one directory of them",
            came=f"{len(given)} paths",
            then="x1 agents apply DIRECTORY",
        )
    return Path(given[0])


def _ask(verb: str, body: Mapping[str, Any], state: StateDir, *, as_json: bool) -> None:
    from infra.local.cli import agentfiles, output  # noqa: PLC0415
    from infra.local.cli.relay import connect  # noqa: PLC0415

    answer = connect(state).post(f"/api/agents/{verb}", body)
    if as_json:
        output.show_json(answer)
    else:
        agentfiles.show(answer)
