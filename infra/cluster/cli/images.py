"""x1 cluster images."""

from typing import Annotated

import typer

from infra.cluster.cli.options import PrefixOption, TagOption
from infra.local.cli.options import JsonOption


def images(
    *,
    builder: Annotated[str, typer.Option(help="buildah or docker.")] = "buildah",
    prefix: PrefixOption = None,
    tag: TagOption = None,
    push: Annotated[
        bool, typer.Option("--push", help="To the registry that PREFIX names.")
    ] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help="Push over plain HTTP.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Build the four images, and push them."""
    from infra.cluster import images as building  # noqa: PLC0415
    from infra.cluster.settings import Images  # noqa: PLC0415
    from infra.local.cli import output  # noqa: PLC0415

    usual = Images()
    built = building.build(
        builder, prefix or usual.prefix, tag or usual.tag, push=push, insecure=insecure
    )
    if as_json:
        output.show_json(
            [
                {"name": each.name, "image": each.reference, "bytes": each.size_bytes}
                for each in built
            ]
        )
    else:
        output.table(
            ("name", "image", "size"),
            ((each.name, each.reference, f"{each.size_bytes / 1e6:,.0f} MB") for each in built),
        )
