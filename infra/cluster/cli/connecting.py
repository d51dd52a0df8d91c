"""x1 cluster connect and demo."""

import os
from pathlib import Path
from typing import Annotated

import typer

from infra.cluster.cli.options import (
    ContextOption,
    OverlayOption,
    PrefixOption,
    SettingsOption,
    TagOption,
)
from infra.local.cli.options import JsonOption, StateDirOption
from infra.local.state import StateDir


def connect(
    *, directory: StateDirOption = None, context: ContextOption = None, as_json: JsonOption = False
) -> None:
    """Forward relay, Prefect and forge to this machine until Ctrl-C; the other commands work meanwhile."""
    import asyncio  # noqa: PLC0415
    import signal  # noqa: PLC0415

    from infra.cluster.connection import connected  # noqa: PLC0415
    from infra.cluster.kubectl import Kubectl  # noqa: PLC0415
    from infra.local.cli import output  # noqa: PLC0415

    state = _state(directory)

    async def stay() -> None:
        told_to_stop = asyncio.Event()
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(each, told_to_stop.set)
        async with connected(Kubectl(context), state) as urls:
            told = {**urls, "operator_token_file": str(state.secret("operator-token"))}
            if as_json:
                output.show_json(told)
            else:
                output.fields(told)
                output.line(f"connected until Ctrl-C; then: x1 sessions --state-dir {state.root}")
            await told_to_stop.wait()

    asyncio.run(stay())


def demo(
    *,
    settings: SettingsOption = None,
    overlay: OverlayOption = None,
    prefix: PrefixOption = None,
    tag: TagOption = None,
    ingress: Annotated[
        str,
        typer.Option(
            help="HOST:PORT at which this machine reaches the ingress; else what the Gateway or Ingress says."
        ),
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the installation up.")] = False,
    directory: StateDirOption = None,
    context: ContextOption = None,
) -> None:
    """Play the whole arc on the cluster: says what it makes and where, and removes it at the end.

    An installation that stands is used as it is, and left.
    """
    from infra.cluster import demo as arc  # noqa: PLC0415
    from infra.cluster import settings as told  # noqa: PLC0415
    from infra.cluster.kubectl import Kubectl  # noqa: PLC0415

    asked = told.read(settings, overlay=overlay, images__prefix=prefix, images__tag=tag)
    wish = asked.wish((settings or Path()).parent)
    code = arc.play(Kubectl(context), wish, ingress=ingress, state=_state(directory), is_kept=keep)
    raise typer.Exit(code)


def _state(directory: Path | None) -> StateDir:
    """A cluster's own, beside the one-machine stack's."""
    return StateDir.of({}, directory or StateDir.of(os.environ).root.with_name("x1flows-cluster"))
