"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ContextOption = Annotated[
    str | None, typer.Option("--context", help="A context of the kubeconfig; else the current one.")
]
SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", help="A YAML file; infra/k8s/overlays/production has an example."),
]
OverlayOption = Annotated[
    str | None, typer.Option("--overlay", help="local (the default) or production.")
]
PrefixOption = Annotated[
    str | None, typer.Option("--prefix", help="Goes before each image's name; x1/ by default.")
]
TagOption = Annotated[str | None, typer.Option("--tag", help="The images' tag.")]
DomainOption = Annotated[
    str | None, typer.Option("--domain", help="Previews are served under this name.")
]
GatewayClassOption = Annotated[
    str | None, typer.Option("--gateway-class", help="The GatewayClass that serves previews.")
]
