"""Options that several commands share."""

import os
from pathlib import Path
from typing import Annotated

import typer

from infra.local.state import StateDir

StateDirOption = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Where the stack keeps everything.", envvar="X1_STATE_DIR"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def state_dir(given: Path | None) -> StateDir:
    return StateDir.of(os.environ, given)
