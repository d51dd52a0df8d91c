"""Puts one activation's parts together and owns their tasks.

Entered in this order: the directories, the relay's client, the bus, the tasks, the way out, the loopback
server. Left in the reverse: the agent's port closes, the runtime and all tasks end, then what they spoke through.
"""

import asyncio
import secrets
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from pathlib import Path

from starlette.types import ASGIApp

from sidecar.authorities import trusted
from sidecar.client.relay import RelayClient
from sidecar.domain.errors import LeaseLost
from sidecar.logs import redactor
from sidecar.pod.acp import profile as profiles
from sidecar.pod.acp.greeting import Greeting
from sidecar.pod.acp.profile import Places, Profile
from sidecar.pod.activation import Activation
from sidecar.pod.bridged import BridgedHands
from sidecar.pod.briefing import standing_instructions
from sidecar.pod.bus import Connect, SessionBus, connect_nats
from sidecar.pod.canary import Canary
from sidecar.pod.driver import WORKER_LINGER_SECONDS, Driver, nothing_to_save
from sidecar.pod.hands import Hands, LiveRuntime
from sidecar.pod.inbox import Inbox
from sidecar.pod.journal import Journal
from sidecar.pod.keeper import Keeper
from sidecar.pod.listening import bind_loopback, service
from sidecar.pod.local import LocalHands
from sidecar.pod.loopback import Loopback
from sidecar.pod.mcp.server import Toolbox, serving
from sidecar.pod.mcp.tool import Desk
from sidecar.pod.notes import Notes
from sidecar.pod.process import adopt_orphans
from sidecar.pod.publisher import Publisher
from sidecar.pod.receipts import Receipts
from sidecar.pod.runtime import Runtime
from sidecar.pod.snapshots import Snapshots
from sidecar.pod.story import Story
from sidecar.pod.way_out import MAX_CONNECTIONS, WayOut
from sidecar.pod.zone import Outward, Zone
from sidecar.settings import PodSettings
from sidecar.tunnel.accepting import Connections
from sidecar.wire.claim import SessionBundle
from sidecar.wire.control import HandOver


@asynccontextmanager
async def assembled(
    settings: PodSettings,
    hand_over: HandOver,
    *,
    connect: Connect = connect_nats,
    load: Callable[[str], Profile] = profiles.load,
    canary: Canary | None = None,
) -> AsyncGenerator[Activation]:
    """Raises InvalidArguments for a runtime without a profile, or a mount out of the workspace."""
    bundle = hand_over.bundle
    profile = load(bundle.runtime.name)
    lost: list[Callable[[LeaseLost], None]] = []
    async with (
        _listening(settings.loopback_port) as listener,
        RelayClient(
            relay_url=settings.relay_url,
            session_id=bundle.session_id,
            holder=hand_over.holder,
            token=bundle.token,
            on_lost=lambda error: lost[0](error),  # noqa: PLW0108 - bound below
        ) as relay,
        SessionBus(bundle.session_id, bundle.bus, connect) as bus,
        asyncio.TaskGroup() as tasks,
        AsyncExitStack() as parts,
    ):
        activation = Activation(hand_over, Story(), tasks)
        lost.append(activation.lost)
        outward = await parts.enter_async_context(_way_out(settings, activation))
        port = listener.getsockname()[1]
        own_dir = _own_dir(settings, hand_over)
        hands = _hands(settings, hand_over, own_dir, canary)
        zone = await _zone(hands, hand_over, port, outward)
        bearer = secrets.token_urlsafe(32)
        for secret in (bearer, zone.capability, bundle.token.get_secret_value()):
            redactor.learn(secret)
        driver = _equipped(activation, relay, bus, zone, own_dir, profile=profile, bearer=bearer)
        toolbox = _toolbox(activation, driver, relay)
        async with (
            serving(toolbox, bearer=bearer, port=port) as mcp,
            _git_gate(activation, relay, zone, settings) as git,
        ):
            server = service(Loopback(mcp=mcp, git=git))
            serving_task = tasks.create_task(server.serve(sockets=[listener]), name="loopback")
            activation.start()
            try:
                yield activation
            finally:
                server.should_exit = True
                await asyncio.wait({serving_task}, timeout=5)
                activation.close()


@asynccontextmanager
async def _listening(port: int) -> AsyncGenerator[socket.socket]:
    with closing(bind_loopback(port)) as listener:
        yield listener


def _own_dir(settings: PodSettings, hand_over: HandOver) -> Path:
    """What the sidecar keeps for itself. The hand-over's directories are the agent's."""
    own = settings.state_dir or Path(hand_over.state_dir)
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    return own


def _hands(
    settings: PodSettings, hand_over: HandOver, own_dir: Path, canary: Canary | None
) -> Hands:
    if settings.bridge_socket is None:
        adopt_orphans()
        return LocalHands(Path(hand_over.state_dir))
    if canary is None:
        return BridgedHands(settings.bridge_socket, log_dir=own_dir)
    return BridgedHands(settings.bridge_socket, log_dir=own_dir, gate=canary.refused)


@asynccontextmanager
async def _way_out(settings: PodSettings, activation: Activation) -> AsyncGenerator[Outward | None]:
    """None where the pod reaches the outside as its machine does."""
    if settings.egress_url is None:
        yield None
        return
    way = WayOut(settings.egress_url, lambda: activation.egress)
    async with _listening(0) as listener, asyncio.TaskGroup() as tasks:
        connections = Connections(way.serve, most=MAX_CONNECTIONS)
        serving = tasks.create_task(connections.run(listener), name="way out")
        try:
            yield Outward(
                port=listener.getsockname()[1],
                direct_domains=tuple(activation.bundle.direct_domains),
            )
        finally:
            serving.cancel()


async def _zone(hands: Hands, hand_over: HandOver, port: int, outward: Outward | None) -> Zone:
    zone = Zone(
        hands=hands,
        workspace_dir=Path(hand_over.workspace_dir),
        state_dir=Path(hand_over.state_dir),
        agent=hand_over.bundle.agent,
        forge_host=hand_over.bundle.forge_host,
        port=port,
        outward=outward,
    )
    await zone.prepare()
    return zone


@asynccontextmanager
async def _git_gate(
    activation: Activation, relay: RelayClient, zone: Zone, settings: PodSettings
) -> AsyncGenerator[ASGIApp]:
    # aiohttp is loaded while nobody waits
    from sidecar.pod.gitgate.app import GitGate  # noqa: PLC0415
    from sidecar.pod.gitgate.upstream import Upstream  # noqa: PLC0415

    gate = GitGate(
        authority=relay,
        attachments=lambda: activation.attachments,
        capability=zone.capability,
        report=activation.git_happened,
        upstream=Upstream(settings.egress_url, verify=trusted(settings.authorities_file)),
    )
    async with aclosing(gate):
        yield gate


def _equipped(
    activation: Activation,
    relay: RelayClient,
    bus: SessionBus,
    zone: Zone,
    own_dir: Path,
    *,
    profile: Profile,
    bearer: str,
) -> Driver:
    bundle = activation.bundle
    publisher = Publisher(
        bus.publish,
        session_id=bundle.session_id,
        generation=bundle.generation,
        redactor=redactor,
    )
    runtime = _runtime(
        activation, zone, own_dir, profile=profile, bearer=bearer, publisher=publisher
    )
    journal = Journal(own_dir / "journal.jsonl")
    snapshots = _snapshots(
        activation, relay, zone, Notes(own_dir, journal), profile=profile, publisher=publisher
    )
    receipts = Receipts(relay)
    inbox = Inbox(relay, receipts)
    confirm: list[Callable[[], Awaitable[None]]] = []
    driver = Driver(
        inbox=inbox,
        receipts=receipts,
        journal=journal,
        runtime=runtime,
        publisher=publisher,
        story=activation.story,
        turns_done=bundle.turns_done,
        idle_seconds=_idle_seconds(bundle),
        model=bundle.runtime.model or bundle.runtime.name,
        confirm=lambda: confirm[0](),  # noqa: PLW0108 - bound below
        save=snapshots.save if snapshots else nothing_to_save,
    )
    keeper = Keeper(
        relay,
        usage=lambda: driver.usage,
        activity=lambda: runtime.activity,
        renewed=activation.renewed,
    )
    confirm.append(keeper.confirm)
    activation.equip(
        relay=relay,
        zone=zone,
        runtime=runtime,
        driver=driver,
        keeper=keeper,
        inbox=inbox,
        receipts=receipts,
        publisher=publisher,
        bus=bus,
        snapshots=snapshots,
    )
    return driver


def _snapshots(
    activation: Activation,
    relay: RelayClient,
    zone: Zone,
    notes: Notes,
    *,
    profile: Profile,
    publisher: Publisher,
) -> Snapshots | None:
    """None on one machine, where the place itself outlives the activation."""
    if not isinstance(zone.hands, BridgedHands):
        return None
    return Snapshots(
        relay=relay,
        zone=zone,
        notes=notes,
        record=publisher.record,
        environment=lambda: zone.environment(activation.attachments),
        written=profiles.written(profile),
    )


def _idle_seconds(bundle: SessionBundle) -> float:
    """An orchestrator waits for its children a while; everybody else parks when there is nothing to do."""
    is_patient = bundle.kind == "orchestrator"
    return bundle.idle_minutes * 60 if is_patient else WORKER_LINGER_SECONDS


def _runtime(
    activation: Activation,
    zone: Zone,
    own_dir: Path,
    *,
    profile: Profile,
    bearer: str,
    publisher: Publisher,
) -> Runtime:
    bundle = activation.bundle
    instructions = standing_instructions(bundle)
    places = Places(
        home=str(zone.home),
        state_dir=str(zone.state_dir),
        workspace_dir=str(zone.workspace_dir),
        sidecar_url=zone.sidecar_url,
        virtual_key=bearer,
        model=bundle.runtime.model or "",
        instructions=instructions,
        python=zone.hands.python,
    )
    activation.mcp_entry = {
        "type": "http",
        "name": "x1",
        "url": f"{zone.sidecar_url}/mcp",
        "headers": [{"name": "Authorization", "value": f"Bearer {bearer}"}],
    }
    others = [
        {"type": "http", "name": each["name"], "url": each["url"], "headers": []}
        for each in bundle.runtime.mcp_servers
    ]

    async def launch() -> LiveRuntime:
        await furnish(zone, profile, places, bundle.runtime.script)
        own = {name: profiles.filled(value, places) for name, value in profile.env.items()}
        return await zone.hands.start(
            [profiles.filled(each, places) for each in profile.argv],
            cwd=zone.workspace_dir,
            env={
                **zone.environment(activation.attachments),
                **{name: value for name, value in own.items() if value},
            },
        )

    return Runtime(
        launch=launch,
        greeting=Greeting(
            profile=profile,
            runtime=bundle.runtime.name,
            workspace_dir=zone.workspace_dir,
            state_dir=own_dir,
            instructions=instructions,
            mcp_servers=[activation.mcp_entry, *others],
        ),
        record=publisher.record,
        silence_seconds=profile.silence_seconds,
    )


async def furnish(zone: Zone, profile: Profile, places: Places, script: str | None) -> None:
    """Writes what the runtime reads at its start."""
    files = {path: profiles.filled(text, places) for path, text in profile.files.items()}
    if profile.instructions_file:
        files[profile.instructions_file] = places.instructions
    if profile.script:
        files[profiles.SCRIPT] = script or ""
    for path, text in files.items():
        await zone.put(path, text)


def _toolbox(activation: Activation, driver: Driver, relay: RelayClient) -> Toolbox:
    def turn() -> tuple[str, dict[str, int]]:
        current = driver.current
        return (current.wake_id, current.ordinals) if current else ("no-turn", {})

    def desk_at(key: str) -> Desk:
        return Desk(
            relay=relay,
            key=key,
            spawnable=lambda: activation.bundle.spawnable,
            end_session=driver.end_session,
        )

    return Toolbox(allowed=lambda: activation.tools, desk_at=desk_at, turn=turn)
