"""The list of commands. Each does its own imports when it runs."""

import typer

from infra.cluster.cli import group as cluster
from infra.local.cli import agents, humans, previews, sessions, stack

app = typer.Typer(
    name="x1",
    help="The one-machine stack, and the sessions that run on it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
stack.add_to(app)
sessions.add_to(app)
previews.add_to(app)
agents.add_to(app)
humans.add_to(app)
cluster.add_to(app)
