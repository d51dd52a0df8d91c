"""x1 cluster doctor and status."""

from pathlib import Path

import typer

from infra.cluster.cli.options import (
    ContextOption,
    OverlayOption,
    PrefixOption,
    SettingsOption,
    TagOption,
)
from infra.local.cli.options import JsonOption


def doctor(
    *,
    settings: SettingsOption = None,
    overlay: OverlayOption = None,
    prefix: PrefixOption = None,
    tag: TagOption = None,
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at what the cluster must have; exit code 1 when something is not as it must be.

    What it makes to find out is removed, on Ctrl-C too. Its pods run the sidecar's image.
    """
    from dataclasses import asdict  # noqa: PLC0415

    from infra.cluster import rendering  # noqa: PLC0415
    from infra.cluster import settings as told  # noqa: PLC0415
    from infra.cluster.doctor.examination import examined  # noqa: PLC0415
    from infra.cluster.doctor.finding import Level  # noqa: PLC0415
    from infra.cluster.kubectl import Kubectl  # noqa: PLC0415
    from infra.local.cli import output  # noqa: PLC0415

    kubectl = Kubectl(context)
    is_told = any((settings, overlay, prefix, tag))
    asked = told.read(settings, overlay=overlay, images__prefix=prefix, images__tag=tag)
    wish = (None if is_told else rendering.installed(kubectl)) or asked.wish(
        (settings or Path()).parent
    )
    findings = list(examined(kubectl, wish, output.progress))
    if as_json:
        output.show_json([asdict(each) for each in findings])
    else:
        output.table(("check", "level", "came"), ((f.name, f.level, f.came) for f in findings))
        for each in findings:
            if each.level is not Level.OK:
                output.line(f"\n{each.name}: expected {output.plain(each.expected)}")
                output.line(f"  next: {output.block(each.remedy)}")
    if any(each.level is Level.FAILED for each in findings):
        raise typer.Exit(1)


def status(*, context: ContextOption = None, as_json: JsonOption = False) -> None:
    """Show what is installed and its components; exit code 3 when one is not ready."""
    from infra.cluster import rendering  # noqa: PLC0415
    from infra.cluster.kubectl import Kubectl  # noqa: PLC0415
    from infra.cluster.readiness import components  # noqa: PLC0415
    from infra.cluster.secrets import SYSTEM  # noqa: PLC0415
    from infra.local.cli import output  # noqa: PLC0415

    kubectl = Kubectl(context)
    wish, found = rendering.installed(kubectl), components(kubectl, SYSTEM)
    is_ready = bool(found) and all(each["ready"] >= each["wanted"] for each in found)
    if as_json:
        told = {"overlay": wish.overlay, "tag": wish.tag} if wish else None
        output.show_json({"installed": told, "ready": is_ready, "components": found})
    elif found:
        if wish:
            output.line(f"overlay {wish.overlay}, images {wish.prefix}*:{wish.tag}\n")
        output.table(
            ("component", "kind", "ready", "image", "why not"),
            (
                (w["name"], w["kind"], f"{w['ready']}/{w['wanted']}", w["image"], w["why_not"])
                for w in found
            ),
        )
    else:
        output.line("not installed; next: x1 cluster install")
    if not is_ready:
        raise typer.Exit(3)
