"""One activation of one session: what its flow may ask, and what ends it.

Verdicts end it at once: a lost lease kills the runtime before anything else, since another activation may
already run. A cancel kills it too; the flow then hears why and stops this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

import structlog

from sidecar.domain.attachment import Attachment
from sidecar.domain.errors import Conflict, LeaseLost, SessionEnded, Unavailable, X1Error
from sidecar.domain.event import EventType
from sidecar.wire.claim import AttachmentModel, EndAnswer, RenewAnswer
from sidecar.wire.control import BootAnswer, CheckoutAnswer, HandOver, ParkAnswer

if TYPE_CHECKING:
    from sidecar.client.relay import RelayClient
    from sidecar.pod.bus import SessionBus
    from sidecar.pod.driver import Driver
    from sidecar.pod.inbox import Inbox
    from sidecar.pod.keeper import Keeper
    from sidecar.pod.publisher import Publisher
    from sidecar.pod.receipts import Receipts
    from sidecar.pod.runtime import Runtime
    from sidecar.pod.snapshots import Snapshots
    from sidecar.pod.story import Kind, Story
    from sidecar.pod.zone import Zone

FLUSH_SECONDS: Final = 30.0
"""For events before the session parks or ends; a bus that is away longer loses what the runtime replays."""
LAST_SAVE_SECONDS: Final = 10.0
"""A third of the grace in which a pod ends."""
LET_GO_SECONDS: Final = 2.0
FAREWELL_SECONDS: Final = 1.0

log = structlog.stdlib.get_logger(__name__)


class NotBooted(Conflict):
    """POST /boot first: there is no runtime yet."""

    code = "not_booted"


class Activation:
    """Its parts are put together in `sidecar.pod.assembly`, which also owns their tasks."""

    def __init__(self, hand_over: HandOver, story: Story, tasks: asyncio.TaskGroup) -> None:
        self.hand_over = hand_over
        self.bundle = hand_over.bundle
        self.story = story
        self.attachments = attachments_of(self.bundle.attachments)
        self.tools: list[str] = list(self.bundle.tools)
        self.egress = self.bundle.egress
        self.mcp_entry: dict[str, Any] = {}
        """As ACP's session/new names this session's own MCP server, bearer included."""
        self._tasks = tasks
        self._is_booted = False
        self._is_over = False
        self._is_cancelled = False
        self._turns: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    def equip(
        self,
        *,
        relay: RelayClient,
        zone: Zone,
        runtime: Runtime,
        driver: Driver,
        keeper: Keeper,
        inbox: Inbox,
        receipts: Receipts,
        publisher: Publisher,
        bus: SessionBus,
        snapshots: Snapshots | None = None,
    ) -> None:
        self._relay = relay
        self._zone = zone
        self._runtime = runtime
        self._driver = driver
        self._keeper = keeper
        self._inbox = inbox
        self._receipts = receipts
        self._publisher = publisher
        self._bus = bus
        self._snapshots = snapshots

    def start(self) -> None:
        """Everything but the turns, which wait for the boot."""
        self._spawn("lease", self._keeper.run)
        self._spawn("receipts", self._receipts.run)
        self._spawn("inbox", self._inbox.run)
        self._spawn("events", self._publisher.run)
        self._spawn("runtime", self._runtime.run)
        self._spawn("doorbell", self._answer_the_bell)

    async def check_out(self) -> CheckoutAnswer:
        from sidecar.pod.checkout import check_out  # noqa: PLC0415 - only once an activation

        if self._snapshots is not None:
            await self._snapshots.restore()
        return CheckoutAnswer(repositories=await check_out(self._zone, self.attachments))

    async def boot(self) -> BootAnswer:
        """Raises RuntimeTrouble when the runtime does not start. May be repeated."""
        conversation = await self._runtime.ready()
        if not self._is_booted:
            self._is_booted = True
            self._turns = self._spawn("turns", self._driver.run)
        return BootAnswer(
            runtime=self.bundle.runtime.name,
            runtime_version=conversation.version,
            resumed=conversation.is_resumed,
            mcp_tools=self.tools,
        )

    async def park(self) -> ParkAnswer:
        """Stops the runtime, saves what is under way, then parks, unless a wake is unread."""
        self._require_boot()
        await self._inbox.fetch()
        if self._inbox.count:
            self._driver.go_on()
            return ParkAnswer(parked=False, unread=self._inbox.count)
        await self._runtime.stop()
        await self._receipts.settled()
        if self._snapshots is not None:
            await self._snapshots.save("park", self._driver.last_turn)
        await self._publisher.flush(FLUSH_SECONDS)
        async with self._keeper.lock:
            answer = await self._relay.park()
            if answer.parked:
                self._retire()
        if not answer.parked:
            self._inbox.look()
            self._keeper.renew_now()
            self._driver.go_on()
        return ParkAnswer(parked=answer.parked, unread=answer.unread)

    async def end(self) -> EndAnswer:
        """Stops the runtime, then ends the session as its agent said. May be repeated."""
        self._require_boot()
        await self._runtime.stop()
        await self._receipts.settled()
        await self._publisher.flush(FLUSH_SECONDS)
        said = self._driver.ending or {}
        async with self._keeper.lock:
            answer = await self._relay.end(
                str(said.get("summary", "")), "complete", said.get("outcome")
            )
            self._retire()
        return answer

    async def leave(self, reason: str) -> None:
        """Ends the runtime; then tells the relay, briefly, that the lease is free. Never raises."""
        await self._end_turns()
        if self._is_over:
            self._runtime.kill()
            return
        await self._runtime.stop()
        await self._save_at_last()
        await self._publisher.flush(FAREWELL_SECONDS)
        self._keeper.is_retired = True
        try:
            async with asyncio.timeout(LET_GO_SECONDS):
                await self._relay.let_go(reason, LET_GO_SECONDS)
        except (X1Error, TimeoutError) as error:
            log.warning("lease not given up; it runs out", reason=str(error))

    async def _save_at_last(self) -> None:
        """A session that is cancelled needs no state any more; one that was not booted has none of its own."""
        if self._snapshots is None or self._is_cancelled or not self._is_booted:
            return
        try:
            await self._snapshots.save("stop", self._driver.last_turn, LAST_SAVE_SECONDS)
        except X1Error as error:
            log.warning("state not saved", reason=str(error))

    def close(self) -> None:
        """Ends every task of this activation; the runtime's leaves no process behind."""
        self._is_over = True
        if self._snapshots is not None:
            self._snapshots.close()
        for task in self._running:
            task.cancel()

    def lost(self, error: LeaseLost) -> None:
        """Hears of a lost lease wherever it is met first."""
        if not self._is_over:
            self._retire()
            self._runtime.kill()
            self._spawn("verdict", lambda: self._verdict("lost", str(error)))

    async def renewed(self, answer: RenewAnswer) -> None:
        self.attachments = attachments_of(answer.attachments)
        self.tools = list(answer.tools)
        self.egress = answer.egress or self.egress
        self._bus.use(answer.bus)
        if answer.cancel_reason is not None:
            self._is_cancelled = True
            await self._verdict("cancelled", answer.cancel_reason)
        elif answer.unread:
            self._inbox.look()

    async def git_happened(self, kind: EventType, payload: dict[str, Any]) -> None:
        """The git gateway's report: an event, and what the turn pushed."""
        if kind is EventType.GIT_PUSH and self._driver.current is not None:
            self._driver.current.pushed.append(_pushed(payload))
        await self._publisher.record(kind, payload)

    def _require_boot(self) -> None:
        if not self._is_booted:
            raise NotBooted

    def _retire(self) -> None:
        self._is_over = True
        self._keeper.is_retired = True

    def _spawn(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> asyncio.Task[None]:
        task = self._tasks.create_task(self._guarded(name, work), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _guarded(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """What ends a background part ends the activation, and says how."""
        try:
            await work()
        except LeaseLost as error:
            self.lost(error)
        except X1Error as error:
            await self._failed(name, error, str(error))
        except Exception as error:
            log.exception("a part of the sidecar failed", part=name)
            await self._failed(name, error, f"the sidecar's {name} failed: {type(error).__name__}")

    async def _failed(self, name: str, error: Exception, reason: str) -> None:
        if self._is_over:
            return
        log.warning("activation fails", part=name, reason=reason)
        if isinstance(error, SessionEnded):
            self._retire()
        await self._verdict("failed", reason)

    async def _verdict(self, kind: Kind, reason: str) -> None:
        """The runtime dies first: a lost lease means that another activation may already run."""
        self._runtime.kill()
        await self._end_turns()
        self._runtime.kill()
        await self.story.tell(kind, reason=reason)

    async def _end_turns(self) -> None:
        """No more turns: what was under way is for the next activation to find."""
        turns = self._turns
        if turns is not None and turns is not asyncio.current_task():
            turns.cancel()
            await asyncio.wait({turns})

    async def _answer_the_bell(self) -> None:
        """The bell is a hint: a wake to fetch or a cancel to hear of. Also rung once on each connection."""
        while True:
            try:
                async with self._bus.doorbell() as bells:
                    self._inbox.look()
                    async for bell in bells:
                        self._inbox.look()
                        if bell == "cancel":
                            self._keeper.renew_now()
            except Unavailable as error:
                log.warning("no doorbell", reason=str(error))
            await asyncio.sleep(1.0)


def attachments_of(models: list[AttachmentModel]) -> tuple[Attachment, ...]:
    return tuple(
        Attachment(
            repo=each.repo,  # pyright: ignore[reportArgumentType] - a NewType over text
            branch=each.branch,
            mount_path=each.mount_path,
            allow_push=each.allow_push,
            allow_branches=tuple(each.allow_branches),
            protected_paths=tuple(each.protected_paths),
            max_pack_bytes=each.max_pack_bytes,
        )
        for each in models
    )


def _pushed(payload: dict[str, Any]) -> str:
    named = " ".join(str(payload[name]) for name in ("repo", "ref", "new") if payload.get(name))
    return named or str(payload)[:200]
