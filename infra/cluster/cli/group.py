"""The list of commands."""

import typer

from infra.cluster.cli.connecting import connect, demo
from infra.cluster.cli.images import images
from infra.cluster.cli.installing import install, uninstall, upgrade
from infra.cluster.cli.looking import doctor, status
from infra.cluster.cli.rotating import rotate


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="The product on Kubernetes: the cluster that kubectl points at.")
    for command in (images, doctor, install, upgrade, status, connect, demo, rotate, uninstall):
        group.command()(command)
    app.add_typer(group, name="cluster", rich_help_panel="Kubernetes")
