"""The agent's CLI, kept alive: started, its conversation loaded, restarted with backoff when it exits.

One task supervises; everybody else asks. A prompt that is cut short raises RuntimeExited, and the caller
decides what becomes of the turn. What it sends before its first prompt is a replay: read, not told again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from sidecar.domain.errors import X1Error
from sidecar.domain.event import EventType
from sidecar.pod.acp.client import AcpClient
from sidecar.pod.acp.errors import RuntimeExited, RuntimeSilent, RuntimeTrouble
from sidecar.pod.acp.greeting import Conversation, Greeting
from sidecar.pod.acp.updates import event_of, text_of
from sidecar.pod.hands import LiveRuntime
from sidecar.pod.quota import Quota

MAX_FAILURES: Final = 5
"""Starts in a row that came to nothing before the activation gives up and says why."""
LAST_WORDS_SECONDS: Final = 2.0
CANCEL_SECONDS: Final = 10.0
SILENCE_CHECK_SECONDS: Final = 5.0
REPLAY_CHARACTERS: Final = 4 * 1024 * 1024
COMPLAINT_SECONDS: Final = 5.0
"""Complaints of one kind are told once in so long, with their number."""

Record = Callable[[EventType, dict[str, Any]], Awaitable[None]]
Launch = Callable[[], Awaitable[LiveRuntime]]

log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class _Live:
    process: LiveRuntime
    client: AcpClient
    conversation: Conversation


class Runtime:
    def __init__(
        self, *, launch: Launch, greeting: Greeting, record: Record, silence_seconds: float
    ) -> None:
        self._launch = launch
        self._greeting = greeting
        self._record = record
        self._silence_seconds = silence_seconds
        self._live: _Live | None = None
        self._process: LiveRuntime | None = None
        self._is_wanted = False
        self._failures = 0
        self._failure: RuntimeTrouble | None = None
        self._changed = asyncio.Condition()
        self._has_prompted = False
        self._replay: list[str] = []
        self._complaints: dict[str, tuple[float, int]] = {}
        self._quota = Quota()
        self._tools: dict[str, str] = {}
        self._is_in_turn = False
        self.tool_calls = 0

    @property
    def activity(self) -> str:
        """For the watchdog: what a silence of this session is about."""
        if self._tools:
            return f"tool:{next(reversed(self._tools.values()))}"[:200]
        return "model" if self._is_in_turn else "idle"

    def has_replayed(self, text: str) -> bool:
        return any(text in said for said in self._replay)

    async def ready(self) -> Conversation:
        """Starts the runtime if it does not run. Raises RuntimeTrouble after five starts in vain."""
        async with self._changed:
            self._is_wanted = True
            self._failure = None
            self._changed.notify_all()
            await self._changed.wait_for(
                lambda: self._live is not None or self._failure is not None
            )
            if self._live is None:
                assert self._failure is not None
                raise self._failure
            return self._live.conversation

    async def prompt(self, text: str) -> dict[str, Any]:
        """The turn's result. Raises CallRefused, RuntimeExited, RuntimeSilent; then it did not end well."""
        await self.ready()
        live = self._live
        if live is None:
            raise RuntimeExited("the runtime exited before it was prompted")
        self._has_prompted = self._is_in_turn = True
        self._replay.clear()
        self._tools.clear()
        try:
            result = await self._prompted(live, text)
            self._failures = 0
            return result
        finally:
            self._is_in_turn = False
            self._tools.clear()

    async def cancel(self) -> None:
        """Asks the runtime to end its turn; the prompt then returns with `cancelled`."""
        live = self._live
        if live is not None and self._is_in_turn:
            with suppress(RuntimeExited):
                await live.client.notify(
                    "session/cancel", {"sessionId": live.conversation.session_id}
                )

    async def stop(self) -> None:
        """Ends the process and all it started, and waits for that. Repeatable; `ready` starts it again."""
        async with self._changed:
            self._is_wanted = False
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._process is None)

    def kill(self) -> None:
        """At once: the lease is lost, and another activation may already run."""
        self._is_wanted = False
        if self._process is not None:
            self._process.kill()

    async def run(self) -> None:
        """Supervises until cancelled, and leaves no process behind."""
        try:
            await self._supervise()
        finally:
            async with self._changed:
                self._failure = RuntimeExited("nobody supervises the runtime any more")
                self._changed.notify_all()

    async def _supervise(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._is_wanted and self._failure is None)
            trouble = await self._one_life()
            if trouble is not None and self._is_wanted:
                await self._mourn(trouble)

    async def _mourn(self, trouble: RuntimeTrouble) -> None:
        self._failures += 1
        is_last = self._failures >= MAX_FAILURES
        delay = min(10.0, 0.2 * 2 ** (self._failures - 1))
        await self._record(
            EventType.AGENT_ERROR,
            {
                "what": trouble.code,
                "text": str(trouble),
                "next": "gives up" if is_last else f"restarts in {delay:g} s",
            },
        )
        async with self._changed:
            if is_last:
                self._failures, self._failure = 0, trouble
                self._changed.notify_all()
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._changed.wait_for(lambda: not self._is_wanted)

    async def _one_life(self) -> RuntimeTrouble | None:
        """From start to end of one process; why it ended, or None when it was told to."""
        try:
            process = await self._launch()
        except X1Error as error:
            return error if isinstance(error, RuntimeTrouble) else RuntimeExited(str(error))
        self._process = process
        self._has_prompted = False
        client = AcpClient(
            process.reader, process.writer, on_update=self._update, on_trouble=self._complain
        )
        try:
            return await self._lived(process, client)
        finally:
            await self._buried(process)

    async def _lived(self, process: LiveRuntime, client: AcpClient) -> RuntimeTrouble | None:
        trouble: RuntimeTrouble | None = None
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(process.drain(), name="runtime stderr")
            reading = tasks.create_task(client.run(), name="runtime stdout")
            try:
                await self._greet(process, client)
                trouble = await self._until_over(process, reading)
            except RuntimeTrouble as error:
                trouble = self._explained(error, process)
            finally:
                await process.end()
                await asyncio.wait({draining, reading}, timeout=LAST_WORDS_SECONDS)
                draining.cancel()
                reading.cancel()
        return trouble

    async def _greet(self, process: LiveRuntime, client: AcpClient) -> None:
        conversation = await self._greeting.exchange(client)
        if conversation.lost:
            await self._record(
                EventType.AGENT_ERROR,
                {
                    "what": "conversation_lost",
                    "text": conversation.lost,
                    "next": "begins a new one",
                },
            )
        async with self._changed:
            self._live = _Live(process=process, client=client, conversation=conversation)
            self._changed.notify_all()

    async def _until_over(
        self, process: LiveRuntime, reading: "asyncio.Task[None]"
    ) -> RuntimeTrouble | None:
        async with asyncio.TaskGroup() as tasks:
            exited = tasks.create_task(process.wait(), name="runtime exit")
            unwanted = tasks.create_task(self._unwanted(), name="runtime unwanted")
            await asyncio.wait({exited, unwanted, reading}, return_when=asyncio.FIRST_COMPLETED)
            if not unwanted.done():
                await asyncio.wait({exited, reading}, timeout=LAST_WORDS_SECONDS)
            exited.cancel()
            unwanted.cancel()
        if not self._is_wanted:
            return None
        return self._explained(RuntimeExited(f"the runtime ended: {process.how_it_ended}"), process)

    async def _unwanted(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._is_wanted)

    async def _buried(self, process: LiveRuntime) -> None:
        async with self._changed:
            self._live = self._process = None
            self._changed.notify_all()
        log.info("runtime ended", pid=process.pid, how=process.how_it_ended)

    def _explained(self, error: RuntimeTrouble, process: LiveRuntime) -> RuntimeTrouble:
        """The same trouble with the end of what the runtime complained, which often names the cause."""
        said = process.complaints().strip()
        if not said:
            return error
        kind = RuntimeSilent if isinstance(error, RuntimeSilent) else RuntimeExited
        return kind(f"{error}; standard error ends with: {said[-1500:]}")

    async def _prompted(self, live: _Live, text: str) -> dict[str, Any]:
        params = {
            "sessionId": live.conversation.session_id,
            "prompt": [{"type": "text", "text": text}],
        }
        outcome: dict[str, Any] | RuntimeTrouble
        async with asyncio.TaskGroup() as tasks:
            guard = tasks.create_task(self._watch_silence(live), name="silence")
            try:
                outcome = await live.client.call("session/prompt", params, timeout=None)
            except RuntimeTrouble as trouble:
                outcome = trouble
            finally:
                guard.cancel()
        if isinstance(outcome, RuntimeTrouble):
            raise outcome
        return outcome

    async def _watch_silence(self, live: _Live) -> None:
        """A runtime that never answers is asked to stop, then killed, so that the turn ends."""
        loop = asyncio.get_running_loop()
        live.client.last_heard = loop.time()
        while loop.time() - live.client.last_heard < self._silence_seconds:  # noqa: ASYNC110 - a clock
            await asyncio.sleep(min(SILENCE_CHECK_SECONDS, self._silence_seconds / 4))
        told = f"not one message for {self._silence_seconds:g} s; the turn is given up"
        await self._record(EventType.AGENT_ERROR, {"what": RuntimeSilent.code, "text": told})
        await self.cancel()
        await asyncio.sleep(CANCEL_SECONDS)
        live.process.kill()

    async def _update(self, params: dict[str, Any]) -> None:
        update = params.get("update")
        if not isinstance(update, dict):
            return
        if not self._has_prompted:
            self._remember(update)
            return
        if waited := await self._quota.take():
            await self._complain("flood", f"updates come too fast and are slowed down ({waited})")
        told = event_of(update)
        if told is not None:
            self._follow(*told)
            await self._record(*told)

    def _remember(self, update: dict[str, Any]) -> None:
        if sum(map(len, self._replay)) < REPLAY_CHARACTERS:
            self._replay.append(text_of(update))

    def _follow(self, kind: EventType, payload: dict[str, Any]) -> None:
        call = payload.get("tool_call_id", "")
        if kind is EventType.AGENT_TOOL_CALL:
            self.tool_calls += call not in self._tools
            self._tools[call] = payload["title"]
        elif kind is EventType.AGENT_TOOL_RESULT:
            self._tools.pop(call, None)

    async def _complain(self, kind: str, sentence: str) -> None:
        now = asyncio.get_running_loop().time()
        since, count = self._complaints.get(kind, (-COMPLAINT_SECONDS, 0))
        if now - since < COMPLAINT_SECONDS:
            self._complaints[kind] = (since, count + 1)
            return
        self._complaints[kind] = (now, 0)
        before = {"unreported_before": count} if count else {}
        await self._record(EventType.AGENT_ERROR, {"what": kind, "text": sentence, **before})
