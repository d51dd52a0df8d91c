"""The turns of one activation: which wakes, in which order, and what a crash before it left to finish.

Every step is on disk before it is acted on: `prompted` before the prompt, `ended` before the receipt. A wake
whose turn ended is never prompted again; one whose turn was cut short is prompted again and told so, as the
same batch, so that its effects keep their keys.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Any, Final

import structlog

from sidecar.domain.errors import InvalidArguments
from sidecar.domain.event import EventType
from sidecar.domain.wake import Wake, WakeKind, prompt
from sidecar.pod.acp.errors import RuntimeTrouble
from sidecar.pod.acp.usage import summed, usage_of
from sidecar.pod.inbox import Inbox
from sidecar.pod.journal import Journal, Past
from sidecar.pod.publisher import Publisher
from sidecar.pod.receipts import Receipts
from sidecar.pod.runtime import Runtime
from sidecar.pod.story import Story
from sidecar.wire.control import TurnReport
from sidecar.wire.state import Kind

WORKER_LINGER_SECONDS: Final = 2.0
"""What a worker's own doings bring about often comes back at once; then no new activation is needed."""
INTERRUPTED: Final = "interrupted"
PAUSES_SECONDS: Final = (0.0, 3.0)
"""Before a turn that was cut short is tried again: a runtime that was killed goes on at once, one that keeps
failing does not use up its tries within a second."""
TITLE_CHARACTERS: Final = 60

Save = Callable[[Kind, int], Awaitable[None]]

log = structlog.stdlib.get_logger(__name__)


async def nothing_to_save(kind: Kind, turn: int) -> None:
    """On one machine the place itself stays."""


@dataclass(slots=True, kw_only=True)
class CurrentTurn:
    """`wake_id` names the turn in idempotency keys; `ordinals` count equal calls within it."""

    number: int
    wake_ids: tuple[str, ...]
    ordinals: dict[str, int] = field(default_factory=dict[str, int])
    pushed: list[str] = field(default_factory=list[str])

    @property
    def wake_id(self) -> str:
        return self.wake_ids[0]


class Driver:
    """`confirm` returns once the relay has said that the session still is this activation's.

    `save` keeps what would be lost with this pod; that it could not is no turn's concern.
    """

    def __init__(
        self,
        *,
        inbox: Inbox,
        receipts: Receipts,
        journal: Journal,
        runtime: Runtime,
        publisher: Publisher,
        story: Story,
        turns_done: int,
        idle_seconds: float,
        model: str,
        confirm: Callable[[], Awaitable[None]],
        save: Save,
    ) -> None:
        self._inbox = inbox
        self._receipts = receipts
        self._journal = journal
        self._runtime = runtime
        self._publisher = publisher
        self._story = story
        self._last_turn = turns_done
        self._idle_seconds = idle_seconds
        self._model = model
        self._confirm = confirm
        self._save = save
        self._park_answered = asyncio.Event()
        self.current: CurrentTurn | None = None
        self.ending: dict[str, Any] | None = None
        self.usage: list[dict[str, Any]] = []

    @property
    def last_turn(self) -> int:
        return self._last_turn

    async def run(self) -> None:
        """Until the session is to end; parking that was refused goes on here."""
        if await self._recover():
            return
        while True:
            if await self._inbox.wait(self._idle_seconds):
                if await self._deal_with(self._inbox.take(), is_interrupted=False):
                    return
                self._inbox.look()
            else:
                await self._park()

    def end_session(self, summary: str, outcome: str | None) -> None:
        """The agent's word that its work is finished; it holds once this turn has ended."""
        if self.current is None:
            raise InvalidArguments("end_session is called within a turn")
        self.ending = {"summary": summary, "outcome": outcome}

    def go_on(self) -> None:
        """The park that was told did not happen: a wake came in between."""
        self._park_answered.set()

    async def _park(self) -> None:
        self._park_answered.clear()
        await self._story.tell("park")
        await self._park_answered.wait()

    async def _recover(self) -> bool:
        """Finishes what the journal says an earlier activation began. Whether the session is to end."""
        past = self._journal.read()
        await self._runtime.ready()
        wakes = {str(wake.id): wake for wake in await self._inbox.fetch()}
        ended = [each for each in wakes if each in past.ended]
        self._inbox.take(ended)
        if past.ending is not None and (ended or not wakes):
            self.ending = past.ending
            await self._story.tell("end", reason="its agent ended it")
            return True
        for each in ended:
            end = past.ended[each]
            await self._receipts.report([each], "done", turn=end.turn, stop_reason=end.stop_reason)
        return await self._resume([wakes[each] for each in self._cut_short(past, wakes)])

    def _cut_short(self, past: Past, wakes: dict[str, Wake]) -> list[str]:
        prompted = [each for each in past.prompted if each in wakes]
        replayed = [
            each
            for each in wakes
            if each not in past.ended and each not in prompted and self._runtime.has_replayed(each)
        ]
        return prompted + replayed

    async def _resume(self, wakes: list[Wake]) -> bool:
        if not wakes:
            return False
        batch = self._inbox.take([wake.id for wake in wakes])
        await self._receipts.report([wake.id for wake in batch], INTERRUPTED)
        return await self._deal_with(_cut(batch), is_interrupted=True)

    async def _deal_with(self, batch: tuple[Wake, ...], *, is_interrupted: bool) -> bool:
        """Turns on one batch until one ends well. The relay fails a session that does not get there."""
        batch = _begun(batch)
        pauses = chain(PAUSES_SECONDS, repeat(PAUSES_SECONDS[-1]))
        while not await self._turn(batch, is_interrupted=is_interrupted):
            await self._receipts.report([wake.id for wake in batch], INTERRUPTED)
            await self._receipts.settled()
            await self._confirm()
            await asyncio.sleep(next(pauses))
            batch, is_interrupted = _begun(_cut(batch)), True
        if self.ending is None:
            return False
        await self._story.tell("end", reason="its agent ended it")
        return True

    async def _turn(self, batch: tuple[Wake, ...], *, is_interrupted: bool) -> bool:
        """One prompt. Whether it ended, by whatever stop reason but being cut short."""
        self._last_turn += 1
        wake_ids = tuple(wake.id for wake in batch)
        turn = self.current = CurrentTurn(number=self._last_turn, wake_ids=wake_ids)
        self.ending = None
        await self._journal.prompted(turn.number, wake_ids)
        await self._receipts.report(wake_ids, "read", turn=turn.number)
        await self._story.report(TurnReport(turn=turn.number, state="running"))
        await self._story.tell("turn", turn=turn.number, title=title(batch), wake_ids=wake_ids)
        events, calls = self._publisher.recorded, self._runtime.tool_calls
        report, usage, error = None, [], None
        text = prompt(batch, interrupted=is_interrupted)
        try:
            result = await self._runtime.prompt(text)
            usage = usage_of(result, self._model)
            report = str(result.get("stopReason") or "end_turn")[:100]
        except RuntimeTrouble as trouble:
            error = str(trouble)
            await self._publisher.record(
                EventType.AGENT_ERROR,
                {"what": "turn_interrupted", "text": error, "turn": turn.number},
            )
        await self._settle(turn, report, usage)
        await self._story.report(
            TurnReport(
                turn=turn.number,
                state="ended",
                stop_reason=report or INTERRUPTED,
                usage=usage,
                events=self._publisher.recorded - events,
                tool_calls=self._runtime.tool_calls - calls,
                error=error,
                pushed=turn.pushed,
            )
        )
        return report is not None

    async def _settle(
        self, turn: CurrentTurn, stop_reason: str | None, usage: list[dict[str, Any]]
    ) -> None:
        self.current = None
        if usage:
            self.usage = summed(self.usage, usage)
            await self._publisher.record(
                EventType.AGENT_USAGE, {"turn": turn.number, "usage": usage}
            )
        if stop_reason is None:
            return
        # What is on record as ended is never prompted again: its words must be safe before.
        await self._publisher.flush()
        await self._journal.ended(turn.number, turn.wake_ids, stop_reason, self.ending)
        if self.ending is None:
            # Before the receipts: what a wake came to is not done with while it would be lost with this pod.
            await self._save("turn", turn.number)
            # An ending session's wakes become done with its end, in one transaction.
            await self._receipts.report(
                turn.wake_ids, "done", turn=turn.number, stop_reason=stop_reason
            )


def title(batch: tuple[Wake, ...]) -> str:
    """Names a turn after its wake, in one short line."""
    first = batch[0]
    text = " ".join(first.text.split())
    short = text if len(text) <= TITLE_CHARACTERS else text[: TITLE_CHARACTERS - 1] + "…"
    kind = first.kind.value.replace("_", " ")
    sender = f" from {first.sender}" if first.sender and first.kind is not WakeKind.USER else ""
    more = f" (+{len(batch) - 1})" if len(batch) > 1 else ""
    return f"{kind}{sender}: {short}{more}"


def _begun(batch: tuple[Wake, ...]) -> tuple[Wake, ...]:
    """As the relay counts: a turn that begins is one attempt more than there were interruptions."""
    return tuple(replace(wake, attempt=wake.interruptions + 1) for wake in batch)


def _cut(batch: tuple[Wake, ...]) -> tuple[Wake, ...]:
    attempts = ((wake, max(wake.attempt, 1)) for wake in batch)
    return tuple(replace(wake, attempt=n, interruptions=n) for wake, n in attempts)
