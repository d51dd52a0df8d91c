"""x1 cluster rotate."""

from typing import Annotated

import typer

from infra.cluster.cli.options import ContextOption
from infra.local.cli.options import JsonOption


def rotate(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Which secrets; all but registry-key when none is named."),
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace the secrets that an installation made for itself; sessions go on.

    An interrupted rotation is gone on with by the same command.
    """
    from infra.cluster.kubectl import Kubectl  # noqa: PLC0415
    from infra.cluster.rotation import catalogue  # noqa: PLC0415
    from infra.cluster.rotation.ground import Ground  # noqa: PLC0415
    from infra.local.cli import output  # noqa: PLC0415

    ground = Ground(kubectl=Kubectl(context), say=output.progress)
    rotations, not_covered = catalogue.divided(catalogue.chosen(names or []), ground.has)
    for each in rotations:
        output.progress(f"{each.name}: {each.notice}")
    if not yes:
        typer.confirm("Rotate them?", abort=True)
    for each in rotations:
        output.progress(f"rotating {each.name}")
        each.run(ground)
    if as_json:
        done = [each.name for each in rotations]
        output.show_json({"rotated": done, "not_covered": not_covered})
        return
    output.table(("secret", "what one notices"), ((r.name, r.notice) for r in rotations))
    for name, reason in not_covered.items():
        output.line(f"not covered: {name}: {reason}")
