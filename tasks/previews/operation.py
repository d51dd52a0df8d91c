"""An operation in hand: claimed, kept by reports every few seconds, ended by the last one.

Its words travel with the reports, without the secrets that the run was given. When a report learns that the
operation is over, or in other hands, whatever runs under `held` is cancelled and OperationOver is raised.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import structlog
from pydantic import SecretStr
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential_jitter,
)

from sidecar.client.operations import OperationsClient
from sidecar.domain.errors import LeaseLost, PreviewUnknown, Unauthenticated, Unavailable
from sidecar.domain.lease import RENEW_EVERY
from sidecar.redaction import Redactor
from sidecar.wire.previews import OperationAnswer, OperationBundle, OperationProgress
from tasks.previews.errors import OperationOver

Stage = Literal["building", "deploying", "running"]
MOST_LINES: Final = 1000
PATIENCE_SECONDS: Final = 600.0

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Operation:
    bundle: OperationBundle
    relay: OperationsClient
    stage: Stage = "running"
    artifact: str = ""
    """What its build made: the deploy runs it."""
    _lines: list[str] = field(default_factory=list[str])
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _has_ended: bool = False
    _redactor: Redactor = field(default_factory=Redactor, repr=False)

    def __post_init__(self) -> None:
        for secret in _given(self.bundle):
            for line in secret.get_secret_value().splitlines():  # as a log would show it
                self._redactor.learn(line.strip())

    def say(self, line: str) -> None:
        """Into the preview's build log, with the next report."""
        self._lines.append(self._redactor.mask_text(line))

    async def enter(self, stage: Stage) -> None:
        """Tells the relay at once: also the moment to learn that it is over."""
        self.stage = stage
        await self._report(OperationProgress(holder=self.bundle.holder, status=stage))

    async def app_log(self, lines: Sequence[str]) -> None:
        if lines:
            await self._report(
                OperationProgress(
                    holder=self.bundle.holder,
                    status=self.stage,
                    log=self._redactor.mask(list(lines)[-MOST_LINES:]),
                    log_source="app",
                )
            )

    async def end(
        self, status: Literal["succeeded", "failed"], result: dict[str, Any]
    ) -> OperationAnswer:
        """The last report; waits for an absent relay. Repeating it changes nothing."""
        async with self._turn:
            self._has_ended = True
            await self._flush()
            answer = await self._send(
                OperationProgress(
                    holder=self.bundle.holder, status=status, result=self._redactor.mask(result)
                )
            )
        if answer.cancelled:
            raise OperationOver("another wish for this preview replaced this one")
        return answer

    async def keep(self) -> None:
        """Until the operation has ended. A relay that is away takes nothing from anybody."""
        while not self._has_ended:
            await asyncio.sleep(RENEW_EVERY.total_seconds() / (2 if self._lines else 1))
            async with self._turn:
                if not self._has_ended:
                    await self._flush(always=True)

    async def _report(self, progress: OperationProgress) -> None:
        async with self._turn:
            await self._flush()
            _over(await self._send(progress))

    async def _flush(self, *, always: bool = False) -> None:
        while self._lines or always:
            lines, self._lines = self._lines[:MOST_LINES], self._lines[MOST_LINES:]
            progress = OperationProgress(holder=self.bundle.holder, status=self.stage, log=lines)
            _over(await self._send(progress))
            always = False

    async def _send(self, progress: OperationProgress) -> OperationAnswer:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.5),
            stop=stop_after_delay(PATIENCE_SECONDS),
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    return await self.relay.report(self.bundle, progress)
        except (LeaseLost, PreviewUnknown, Unauthenticated) as error:
            raise OperationOver(str(error)) from error
        raise AssertionError("a retry ends by an answer or an error")


_in_hand: ContextVar[Operation] = ContextVar("operation")


def in_hand() -> Operation:
    """The operation this flow run holds. Subflows find it here: their parameters are ids, seen in Prefect."""
    return _in_hand.get()


@asynccontextmanager
async def held(relay: OperationsClient, bundle: OperationBundle) -> AsyncGenerator[Operation]:
    """Keeps the operation while the block runs. Raises OperationOver, and what the block raises, plain."""
    operation = Operation(bundle=bundle, relay=relay)
    token = _in_hand.set(operation)
    try:
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(operation.keep(), name=f"keep {bundle.operation_id}")
            yield operation
            keeping.cancel()
    except BaseExceptionGroup as several:
        raise _plain(several) from several
    finally:
        _in_hand.reset(token)


def _given(bundle: OperationBundle) -> Sequence[SecretStr]:
    tokens = (bundle.token, bundle.git_token, bundle.push_token, bundle.pull_token)
    return [*tokens, *bundle.secrets.values()]


def _over(answer: OperationAnswer) -> None:
    if answer.cancelled:
        raise OperationOver("another wish for this preview replaced this one")


def _plain(several: BaseExceptionGroup[BaseException]) -> BaseException:
    over = several.subgroup(OperationOver)
    chosen = over or several
    while isinstance(chosen, BaseExceptionGroup):
        chosen = chosen.exceptions[0]
    return chosen
