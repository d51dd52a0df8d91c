"""The arc on a cluster: installed where nothing is, connected to, played, proven from here, removed again."""

import asyncio
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from infra.cluster import installation, removal
from infra.cluster.announcement import announced
from infra.cluster.connection import connected
from infra.cluster.doctor import pulling
from infra.cluster.doctor.finding import Level
from infra.cluster.ingress import previews_way
from infra.cluster.kubectl import Kubectl
from infra.cluster.rendering import Wish, render
from infra.local.demo.example import container_example
from infra.local.demo.screen import Screen
from infra.local.demo.staging import told_to_stop
from infra.local.demo.telling import tell
from infra.local.errors import AskedFailed, WrongUsage
from infra.local.state import StateDir

FORGE: Final = ("Service", "forge")


class NodesDoNotPull(AskedFailed):
    """The installation stays: its registry must keep the address that nodes are about to be told."""


def play(kubectl: Kubectl, wish: Wish, *, ingress: str, state: StateDir, is_kept: bool) -> int:
    """0 only when the forge and the preview show what they should. Raises LocalError.

    `ingress` is where previews are reached from here, `host:port`; empty: what the Gateway or Ingress says.
    """
    found = installation.before(kubectl, wish)
    objects = render(kubectl, found or wish)
    _require_forge(wish, objects)
    screen = Screen()
    screen.heading("The cluster", kubectl.place())
    made = _made(kubectl, wish, objects, screen, is_kept=is_kept)
    with told_to_stop(), _used(found, screen) if found else made:
        _require_pulls(kubectl, screen)
        asyncio.run(_arc(kubectl, ingress, state, screen))
    return 0


def _require_forge(wish: Wish, objects: Sequence[dict[str, Any]]) -> None:
    """Its repositories are made in the forge inside: a demo has no business on one's own."""
    if FORGE not in {(each["kind"], each["metadata"]["name"]) for each in objects}:
        raise WrongUsage(
            expected="an overlay with a forge of its own, as local",
            came=f"the overlay {wish.overlay}",
            then="x1 cluster demo on a cluster without an installation, or agents of your own: x1 agents apply",
        )


@contextmanager
def _used(found: Wish, screen: Screen) -> Generator[None]:
    """What stands is neither changed nor removed."""
    images = f"{found.prefix}*:{found.tag}"
    screen.line(f"stands already, and is used as it is: overlay {found.overlay}, images {images}")
    screen.line("the demo's repositories, agents, sessions and previews are made in it, and stay")
    yield


@contextmanager
def _made(
    kubectl: Kubectl,
    wish: Wish,
    objects: Sequence[dict[str, Any]],
    screen: Screen,
    *,
    is_kept: bool,
) -> Generator[None]:
    """Removed at the end, unless it is kept."""
    for line in announced(objects):
        screen.line(f"is made: {line}")
    try:
        _install(kubectl, wish, screen)
        yield
    except NodesDoNotPull:
        is_kept = True
        raise
    finally:
        if is_kept:
            screen.line("The installation stays: x1 cluster connect, later x1 cluster uninstall")
        else:
            screen.heading("The end", "everything that was made is removed")
            removal.uninstall(kubectl, screen.line)


def _install(kubectl: Kubectl, wish: Wish, screen: Screen) -> None:
    began = time.monotonic()
    installation.install(kubectl, wish, screen.line)
    screen.line(f"installed in {time.monotonic() - began:.0f} s")


def _require_pulls(kubectl: Kubectl, screen: Screen) -> None:
    """Else the first preview would tell, minutes later."""
    screen.line("looking whether nodes pull from the installation's registry")
    finding = pulling.registry(kubectl)
    if finding.level is Level.FAILED:
        raise NodesDoNotPull(
            expected=finding.expected,
            came=finding.came,
            then=f"{finding.remedy}\n  and then x1 cluster demo again; the installation stays",
        )
    screen.line(finding.came)


async def _arc(kubectl: Kubectl, ingress: str, state: StateDir, screen: Screen) -> None:
    with previews_way(kubectl, ingress) as way:
        async with connected(kubectl, state):
            await tell(state, container_example(), screen, way)
