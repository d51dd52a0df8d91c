"""x1 cluster install, upgrade and uninstall."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cluster.cli.options import (
    ContextOption,
    DomainOption,
    GatewayClassOption,
    OverlayOption,
    PrefixOption,
    SettingsOption,
    TagOption,
)
from infra.local.cli.options import JsonOption

if TYPE_CHECKING:
    from infra.cluster.kubectl import Kubectl
    from infra.cluster.rendering import Wish


def install(
    *,
    settings: SettingsOption = None,
    overlay: OverlayOption = None,
    prefix: PrefixOption = None,
    tag: TagOption = None,
    domain: DomainOption = None,
    gateway_class: GatewayClassOption = None,
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Install what is missing and change what differs; what stands stays."""
    from infra.cluster import settings as told  # noqa: PLC0415
    from infra.cluster.kubectl import Kubectl  # noqa: PLC0415

    asked = told.read(
        settings,
        overlay=overlay,
        images__prefix=prefix,
        images__tag=tag,
        previews__domain=domain,
        previews__gateway_class=gateway_class,
    )
    beside = (settings or Path()).parent
    given = asked.secrets(beside)
    _install(Kubectl(context), asked.wish(beside), given, as_json=as_json)


def upgrade(
    *,
    settings: SettingsOption = None,
    prefix: PrefixOption = None,
    tag: TagOption = None,
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go to this version's manifests, and to other images; what was decided at installation stays.

    Sessions go on: a pod that runs keeps its images, and the next activation has the new ones.
    """
    from dataclasses import replace  # noqa: PLC0415

    from infra.cluster import rendering  # noqa: PLC0415
    from infra.cluster.kubectl import Kubectl  # noqa: PLC0415
    from infra.local.errors import NotThere  # noqa: PLC0415

    if settings is not None:
        install(settings=settings, prefix=prefix, tag=tag, context=context, as_json=as_json)
        return
    kubectl = Kubectl(context)
    before = rendering.installed(kubectl)
    if before is None:
        raise NotThere(
            expected="an installation", came="the cluster has none", then="x1 cluster install"
        )
    wish = replace(before, prefix=prefix or before.prefix, tag=tag or before.tag)
    _install(kubectl, wish, {}, as_json=as_json)


def uninstall(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove everything, sessions and their history included."""
    from infra.cluster import removal  # noqa: PLC0415
    from infra.cluster.kubectl import Kubectl  # noqa: PLC0415
    from infra.cluster.rendering import LABEL  # noqa: PLC0415
    from infra.local.cli import output  # noqa: PLC0415

    if not yes:
        typer.confirm(
            "Remove x1flows with all sessions and databases from the cluster, and whatever else carries "
            f"the label {LABEL}?",
            abort=True,
        )
    removed = removal.uninstall(Kubectl(context), output.progress)
    if as_json:
        output.show_json({"removed": removed})
    else:
        output.line(f"{len(removed)} objects removed" if removed else "nothing to remove")


def _install(kubectl: "Kubectl", wish: "Wish", given: dict[str, str], *, as_json: bool) -> None:
    from infra.cluster import installation  # noqa: PLC0415
    from infra.local.cli import output  # noqa: PLC0415

    images = f"{wish.prefix}*:{wish.tag}"
    output.progress(f"into {kubectl.place()}: overlay {wish.overlay}, images {images}")
    changed = installation.install(kubectl, wish, output.progress, given)
    if as_json:
        output.show_json({"changed": changed})
    else:
        output.line(f"{len(changed)} objects made or changed" if changed else "nothing changed")
        output.line(
            "next: x1 cluster doctor, which asks the nodes whether they pull from its registry"
        )
