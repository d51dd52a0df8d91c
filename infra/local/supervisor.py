"""Runs every component of one state directory until it is told to stop, and leaves nothing behind.

Order: lock, leftovers of a killed supervisor, disk, ports, secrets, then all components at once, each
as soon as those it needs are ready. Stopping goes the other way round: a component outlives what uses it.
A component that cannot start the first time ends the whole start; one that dies later is started again.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter

from infra.local import disk, lock, logfiles, processes
from infra.local.component import Component
from infra.local.errors import LocalError, WrongUsage
from infra.local.keeper import Keeper
from infra.local.plan import components
from infra.local.processes import Records
from infra.local.registration import register
from infra.local.stack import Stack, identity, prepare
from infra.local.state import StateDir
from infra.local.status import Phase, StatusBoard

HOUSEKEEPING_SECONDS = 30.0
LEFTOVER_SECONDS = 5.0
LOOKS = 3
"""For left-overs: one that is ended may have started something after it was found."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Listener = Callable[[StatusBoard], None]


async def supervise(
    state: StateDir, only: Sequence[str] = (), listener: Listener | None = None
) -> None:
    """Returns after SIGTERM or SIGINT and a clean stop. Raises LocalError when the stack cannot start."""
    state.create()
    with lock.held(state):
        state.run("status.json").unlink(missing_ok=True)
        await end_leftovers(state)
        disk.require_space(state.root)
        stack = await prepare(state)
        await Supervisor(stack, _wanted(components(stack), only), listener).run()


async def end_leftovers(state: StateDir) -> int:
    """Ends what a killed supervisor left. Returns how many processes that were."""
    ended = 0
    for _ in range(LOOKS):
        found = await asyncio.to_thread(processes.leftovers, state, identity(state))
        if not found:
            break
        ended += await processes.end(found, LEFTOVER_SECONDS)
    state.forget_sockets()
    return ended


class Supervisor:
    def __init__(
        self, stack: Stack, wanted: Sequence[Component], listener: Listener | None = None
    ) -> None:
        self._stack = stack
        self._board = StatusBoard(stack.state, stack.urls, listener)
        self._board.notices = list(stack.notices)
        self._wanted = {component.name: component for component in wanted}
        records = Records(stack.state)
        self._keepers = {
            name: Keeper(component, stack.state, records, self._board, stack.environment)
            for name, component in self._wanted.items()
        }

    async def run(self) -> None:
        self._board.publish()
        told = _told_to_stop()
        last = Phase.FAILED
        try:
            async with asyncio.TaskGroup() as group:
                tasks = self._begin(group)
                await told.wait()
                for task in tasks:
                    task.cancel()
            last = Phase.STOPPED
        except* LocalError as failures:
            first = _first(failures)
            self._board.failure = str(first)
            raise first from None
        finally:
            await self._stop(last)

    def _begin(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        kept = [
            group.create_task(self._keep(keeper), name=f"keep {name}")
            for name, keeper in self._keepers.items()
        ]
        ready = group.create_task(self._become_ready(), name="become ready")
        return [*kept, ready, group.create_task(self._keep_house(), name="keep house")]

    async def _keep(self, keeper: Keeper) -> None:
        if not keeper.component.waits_itself:
            for name in keeper.component.after:
                await self._keepers[name].is_ready.wait()
        await keeper.run()

    async def _become_ready(self) -> None:
        for keeper in self._keepers.values():
            await keeper.is_ready.wait()
        if "worker" in self._keepers:
            await register(self._stack)
        self._board.phase = Phase.READY
        self._board.publish()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            await asyncio.to_thread(logfiles.rotate, self._stack.state)

    async def _stop(self, last: Phase) -> None:
        """In waves: first what nothing uses. Then whatever carries this stack's mark."""
        self._board.phase = Phase.STOPPING
        self._board.publish()
        users = TopologicalSorter({name: self._users_of(name) for name in self._wanted})
        users.prepare()
        while users.is_active():
            wave = users.get_ready()
            async with asyncio.TaskGroup() as group:
                for name in wave:
                    group.create_task(self._keepers[name].stop(), name=f"stop {name}")
            users.done(*wave)
        await end_leftovers(self._stack.state)
        self._board.phase = last
        self._board.publish()

    def _users_of(self, name: str) -> set[str]:
        return {other.name for other in self._wanted.values() if name in other.after}


def _wanted(planned: Sequence[Component], only: Sequence[str]) -> list[Component]:
    """The named components with everything they need; all of them when none is named."""
    by_name = {component.name: component for component in planned}
    if unknown := set(only) - set(by_name):
        raise WrongUsage(
            expected=f"a component: {', '.join(by_name)}",
            came=f"unknown component {', '.join(sorted(unknown))}",
            then="x1 up --help",
        )
    wanted: set[str] = set()
    asked = list(only or by_name)
    while asked:
        name = asked.pop()
        if name not in wanted:
            wanted.add(name)
            asked.extend(by_name[name].after)
    return [component for component in planned if component.name in wanted]


def _told_to_stop() -> asyncio.Event:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, told.set)
    return told


def _first(failures: BaseExceptionGroup[LocalError]) -> LocalError:
    found: BaseException = failures
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, LocalError)
    return found
