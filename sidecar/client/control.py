"""The flow's side of the pod's control API, over its Unix socket. `sidecar.wire.control` is the contract."""

from pathlib import Path
from typing import Self

import httpx
import structlog
from tenacity import RetryCallState, retry, retry_if_result, stop_after_delay, wait_fixed

from sidecar.client.errors import error_of
from sidecar.domain.errors import RelayUnavailable
from sidecar.wire.claim import EndAnswer
from sidecar.wire.control import (
    BootAnswer,
    CheckoutAnswer,
    HandOver,
    ParkAnswer,
    Step,
    StopRequest,
    TurnReport,
)
from sidecar.wire.model import reveal

log = structlog.stdlib.get_logger(__name__)

POLL_SECONDS = 25.0
"""A long poll's wait: short enough that a dead sidecar is noticed, long enough to cost nothing."""
LISTEN_PATIENCE_SECONDS = 30.0
CALL_TIMEOUT = httpx.Timeout(10.0, read=POLL_SECONDS + 10.0)
SLOW_TIMEOUT = httpx.Timeout(10.0, read=None)
"""Checkout, boot, park and end take what git, a runtime and a relay outage take; the sidecar bounds them."""


class SidecarGone(RelayUnavailable):
    """The sidecar stopped answering on its control socket; this activation is over."""

    code = "sidecar_gone"


def _never_listened(state: RetryCallState) -> bool:
    client: ControlClient = state.args[0]
    raise SidecarGone(
        f"no sidecar listened at {client.socket} within {LISTEN_PATIENCE_SECONDS:g} s"
        f" ({client.obstacle}); see its log"
    )


def _say_once_what_is_awaited(state: RetryCallState) -> None:
    client: ControlClient = state.args[0]
    if state.attempt_number == 1:
        log.info("waits for the sidecar", socket=str(client.socket), reason=client.obstacle)


class ControlClient:
    """Raises the sidecar's own errors by code, and SidecarGone when nobody listens any more."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.obstacle = ""
        """Why the last look for the sidecar found none."""
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)),
            base_url="http://pod",
            timeout=CALL_TIMEOUT,
        )

    async def __aenter__(self) -> Self:
        """Waits until the sidecar listens. Raises SidecarGone when it does not within 30 s."""
        await self._listening()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    @retry(
        retry=retry_if_result(lambda listening: not listening),
        wait=wait_fixed(0.02),
        stop=stop_after_delay(LISTEN_PATIENCE_SECONDS),
        before_sleep=_say_once_what_is_awaited,
        retry_error_callback=_never_listened,
    )
    async def _listening(self) -> bool:
        return await self._answers()

    async def _answers(self) -> bool:
        try:
            answer = await self._http.get("/healthz", timeout=2.0)
        except httpx.TransportError as error:
            self.obstacle = f"{type(error).__name__}: {error}"
            return False
        self.obstacle = f"it answers HTTP {answer.status_code}"
        return answer.is_success

    async def hand_over(self, hand_over: HandOver) -> None:
        await self._call("PUT", "/session", reveal(hand_over))

    async def checkout(self) -> CheckoutAnswer:
        return CheckoutAnswer.model_validate_json(await self._slow("/checkout"))

    async def boot(self) -> BootAnswer:
        return BootAnswer.model_validate_json(await self._slow("/boot"))

    async def step(self, after: int) -> Step | None:
        """The first step numbered above `after`, or None when none came within one long poll."""
        body = await self._poll(f"/steps?after={after}&wait={POLL_SECONDS:g}")
        return Step.model_validate_json(body) if body else None

    async def turn(self, number: int) -> TurnReport:
        body = await self._poll(f"/turns/{number}?wait={POLL_SECONDS:g}")
        return TurnReport.model_validate_json(body)

    async def park(self) -> ParkAnswer:
        return ParkAnswer.model_validate_json(await self._slow("/park"))

    async def end(self) -> EndAnswer:
        return EndAnswer.model_validate_json(await self._slow("/end"))

    async def stop(self, reason: str) -> None:
        await self._call("POST", "/stop", StopRequest(reason=reason).model_dump_json())

    async def _poll(self, path: str) -> bytes:
        """Asked again while a sidecar that answers is late: a machine that slept let everybody's time pass."""
        while True:
            try:
                return await self._call("GET", path)
            except SidecarGone as gone:
                is_late = isinstance(gone.__cause__, httpx.ReadTimeout)
                if not is_late or not await self._answers():
                    raise

    async def _slow(self, path: str) -> bytes:
        return await self._call("POST", path, timeout=SLOW_TIMEOUT)

    async def _call(
        self,
        method: str,
        path: str,
        body: str | bytes | None = None,
        timeout: httpx.Timeout = CALL_TIMEOUT,
    ) -> bytes:
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            answer = await self._http.request(
                method, path, content=body, headers=headers, timeout=timeout
            )
        except httpx.TransportError as error:
            raise SidecarGone from error
        if answer.is_error:
            raise error_of(answer.status_code, answer.content)
        return answer.content
