"""The order of a demo on a stack that is up: repositories, agents, the arc, the proof, the table."""

import asyncio
import time
from typing import Final

from infra.local import secrets
from infra.local.cli import agentfiles
from infra.local.cli.relay import Relay, connect
from infra.local.demo.arc import Arc
from infra.local.demo.errors import DemoFailed
from infra.local.demo.example import APP, LEAD, OWN, SHIPPED, Example, laid_out
from infra.local.demo.inspection import Inspection
from infra.local.demo.node import registry
from infra.local.demo.screen import Screen
from infra.local.demo.table import show_table
from infra.local.forge.seed import seed_repository
from infra.local.state import StateDir
from infra.local.status import read_running
from tasks.previews.way import Way

DIRECT: Final = Way()


async def tell(state: StateDir, example: Example, screen: Screen, way: Way = DIRECT) -> None:
    """On the stack, or connected cluster, of `state`; `way` leads to its previews. Raises LocalError."""
    started = time.monotonic()
    relay = connect(state)
    inspection = Inspection(state, way)
    screen.heading("Repositories and agents", "as an operator sets them up")
    await asyncio.to_thread(_seed, state, example, screen)
    await _require_open_items(inspection)
    await _apply(state, relay, example, screen)
    screen.heading("The arc", "as it happens; times are since its start")
    begun = await asyncio.to_thread(relay.post, "/api/sessions", {"agent": LEAD})
    screen.line(f"session page  {begun['url']}")
    arc = Arc(state, str(begun["session_id"]), screen)
    try:
        async with asyncio.timeout(example.minutes * 60):
            await arc.follow()
    except TimeoutError as error:
        raise DemoFailed(
            "The arc",
            expected=f"the session to end within {example.minutes:g} minutes",
            came=f"it still is at: {arc.last_words}",
            then=f"x1 logs --state-dir {state.root}",
        ) from error
    arc.require_completed()
    screen.heading("The proof", "what the forge and the preview say, not what the agents say")
    proof = await inspection.prove(screen)
    show_table(screen, arc, proof, time.monotonic() - started)


def _seed(state: StateDir, example: Example, screen: Screen) -> None:
    url = read_running(state)["urls"]["forge"]
    token = secrets.read(state, "forge-admin-token")
    own = registry() if example.needs_node else None
    for name, layers in example.repositories.items():
        added = {".npmrc": f"registry={own}\n"} if own and name == APP else {}
        with laid_out(layers, added) as folder:
            head = seed_repository(url, token, name, folder)
        screen.line(f"{name} @ {head[:8]}  {url}/{name}")


async def _require_open_items(inspection: Inspection) -> None:
    """A roadmap that was played already would end at once, and prove nothing."""
    standing = await inspection.statuses()
    if all(standing.get(item) == "done" for item in SHIPPED):
        raise DemoFailed(
            "Repositories and agents",
            expected=f"open items on the roadmap of {OWN}",
            came="the demo was played here already",
            then="x1 demo without --state-dir; on a cluster x1 cluster uninstall first",
        )


async def _apply(state: StateDir, relay: Relay, example: Example, screen: Screen) -> None:
    body = agentfiles.request(example.agents)
    answer = await asyncio.to_thread(relay.post, "/api/agents/apply", body)
    for change in answer["changes"]:
        grants = ", ".join(f"{each['type']} {each['target']}" for each in change["grants"])
        screen.line(f"agent {change['agent']}: {change['action']}d; granted {grants or 'nothing'}")
    await agentfiles.register(state, agentfiles.files(example.agents))
