"""The relay as one session's sidecar sees it: one connection pool, one token, patience while it is away.

Every effect goes through here, so an absent relay holds back every effect by itself. LeaseLost stops the
activation wherever it is met: `on_lost` hears of it before the caller does.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar

import httpx
from pydantic import BaseModel, SecretStr
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    stop_never,
    wait_random_exponential,
)

from sidecar.client.errors import error_of
from sidecar.domain.errors import LeaseLost, RelayUnavailable, Unauthenticated, Unavailable, X1Error
from sidecar.wire.claim import (
    EndAnswer,
    EndRequest,
    ReleaseAnswer,
    ReleaseRequest,
    RenewAnswer,
    RenewRequest,
)
from sidecar.wire.git import (
    CompareAnswer,
    CompareRequest,
    PushAnswer,
    PushRequest,
    TokenAnswer,
    TokenRequest,
)
from sidecar.wire.model import reveal
from sidecar.wire.state import ContentAnswer, KeepRequest, SnapshotModel, StateAnswer
from sidecar.wire.wakes import ReceiptReport, WakesAnswer

CALL_TIMEOUT_SECONDS: Final = 15.0
EFFECT_PATIENCE_SECONDS: Final = 45.0
"""How long one effect waits for an absent relay: under the minute after which CLIs give a tool call up."""
RENEW_TIMEOUT_SECONDS: Final = 5.0
STREAM_TIMEOUT_SECONDS: Final = 60.0
"""For each part of a stream, and for its answer, which comes after the last byte is stored."""

Answer = TypeVar("Answer", bound=BaseModel)


class RelayClient:
    """`patience_seconds` is how long a call repeats itself while the relay is away; None is for ever."""

    def __init__(
        self,
        *,
        relay_url: str,
        session_id: str,
        holder: str,
        token: SecretStr,
        on_lost: Callable[[LeaseLost], None],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.session_id = session_id
        self._holder = holder
        self._token = token
        self._on_lost = on_lost
        self._http = httpx.AsyncClient(
            base_url=relay_url,
            timeout=CALL_TIMEOUT_SECONDS,
            transport=transport,
            trust_env=False,
            limits=httpx.Limits(max_connections=32, keepalive_expiry=30),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    @property
    def _own(self) -> str:
        return f"/internal/sessions/{self.session_id}"

    async def renew(self, usage: list[dict[str, Any]], activity: str) -> RenewAnswer:
        """Once. The answer's token is used from here on. Raises LeaseLost, SessionEnded, Unavailable."""
        request = RenewRequest(holder=self._holder, usage=usage, activity=activity)
        answer = await self._typed(
            RenewAnswer, "PUT", f"{self._own}/lease", request, timeout=RENEW_TIMEOUT_SECONDS
        )
        self._token = answer.token
        return answer

    async def wakes(self) -> WakesAnswer:
        """What is not done yet, oldest first; waits for an absent relay as long as it takes."""
        return await self._typed(WakesAnswer, "GET", f"{self._own}/wakes", patience_seconds=None)

    async def report(self, wake_ids: list[str], receipt: str, **told: Any) -> WakesAnswer:
        """Moves receipts forward; repeatable, so it waits for an absent relay as long as it takes."""
        body = {"holder": self._holder, "wake_ids": wake_ids, "receipt": receipt, **told}
        request = ReceiptReport.model_validate(body)
        path = f"{self._own}/wakes/receipts"
        return await self._typed(WakesAnswer, "POST", path, request, patience_seconds=None)

    async def park(self) -> ReleaseAnswer:
        request = ReleaseRequest(holder=self._holder, how="park")
        path = f"{self._own}/lease/release"
        return await self._typed(ReleaseAnswer, "POST", path, request, patience_seconds=None)

    async def let_go(self, reason: str, patience_seconds: float) -> ReleaseAnswer:
        """Gives the lease up, so that the next activation need not wait for it to run out."""
        request = ReleaseRequest(holder=self._holder, how="stop", reason=reason[:2000])
        path = f"{self._own}/lease/release"
        return await self._typed(
            ReleaseAnswer, "POST", path, request, patience_seconds=patience_seconds
        )

    async def end(self, summary: str, outcome: str, detail: str | None) -> EndAnswer:
        request = EndRequest.model_validate(
            {"holder": self._holder, "summary": summary, "outcome": outcome, "detail": detail}
        )
        return await self._typed(
            EndAnswer, "POST", f"{self._own}/end", request, patience_seconds=None
        )

    async def state(self) -> StateAnswer:
        """Once, as all about state: who asks knows how long it may take. Raises Unavailable, LeaseLost."""
        return await self._typed(StateAnswer, "GET", f"{self._own}/state")

    async def store_content(self, stream: AsyncIterable[bytes]) -> ContentAnswer:
        """What `stream` raises comes out as it is. Raises ArtifactTooLarge, Unavailable, LeaseLost."""
        with _absence():
            answer = await self._http.put(
                f"{self._own}/state/content",
                content=stream,
                headers=self._authorized(),
                timeout=STREAM_TIMEOUT_SECONDS,
            )
        if answer.is_error:
            raise self._heard(error_of(answer.status_code, answer.content))
        return ContentAnswer.model_validate_json(answer.content)

    async def keep_state(
        self, digest: str, *, turn: int, kind: str, notes: dict[str, Any]
    ) -> SnapshotModel:
        """Raises ArtifactUnknown when what was stored is another, or is not there."""
        body = {"holder": self._holder, "digest": digest, "turn": turn, "kind": kind}
        request = KeepRequest.model_validate({**body, "notes": notes})
        return await self._typed(SnapshotModel, "PUT", f"{self._own}/state", request)

    async def state_content(self) -> AsyncGenerator[bytes]:
        """Unverified; close it when done. Raises ArtifactUnknown and LeaseLost at once, Unavailable."""
        with _absence():
            async with self._http.stream(
                "GET",
                f"{self._own}/state/content",
                headers=self._authorized(),
                timeout=STREAM_TIMEOUT_SECONDS,
            ) as answer:
                if answer.is_error:
                    raise self._heard(error_of(answer.status_code, await answer.aread()))
                async for chunk in answer.aiter_bytes():
                    yield chunk

    async def token(self, request: TokenRequest) -> TokenAnswer:
        return await self._typed(
            TokenAnswer, "POST", "/internal/git/token", request,
            patience_seconds=EFFECT_PATIENCE_SECONDS,
        )  # fmt: skip

    async def compare(self, request: CompareRequest) -> CompareAnswer:
        return await self._typed(
            CompareAnswer, "POST", "/internal/git/compare", request,
            patience_seconds=EFFECT_PATIENCE_SECONDS,
        )  # fmt: skip

    async def fence(self, request: PushRequest) -> PushAnswer:
        """Whether this push may be passed on now; an absent relay holds the push back."""
        return await self._typed(
            PushAnswer, "POST", "/internal/git/policy", request,
            patience_seconds=EFFECT_PATIENCE_SECONDS,
        )  # fmt: skip

    async def ask(
        self,
        method: str,
        path: str,
        body: BaseModel | None = None,
        *,
        params: dict[str, Any] | None = None,
        key: str | None = None,
        timeout: float = CALL_TIMEOUT_SECONDS,
    ) -> dict[str, Any]:
        """An agent's call: JSON back. `key` makes repeating it harmless. Raises what the relay refused."""
        answer = await self._insist(
            method, path, body, params=params, key=key, timeout=timeout,
            patience_seconds=EFFECT_PATIENCE_SECONDS,
        )  # fmt: skip
        document = answer.json()
        return document if isinstance(document, dict) else {"items": document}

    async def _typed(
        self,
        kind: type[Answer],
        method: str,
        path: str,
        body: BaseModel | None = None,
        *,
        timeout: float = CALL_TIMEOUT_SECONDS,
        patience_seconds: float | None = 0,
    ) -> Answer:
        answer = await self._insist(
            method, path, body, timeout=timeout, patience_seconds=patience_seconds
        )
        return kind.model_validate_json(answer.content)

    async def _insist(
        self,
        method: str,
        path: str,
        body: BaseModel | None,
        *,
        params: dict[str, Any] | None = None,
        key: str | None = None,
        timeout: float,
        patience_seconds: float | None,
    ) -> httpx.Response:
        patient = AsyncRetrying(
            retry=retry_if_exception_type((Unavailable, Unauthenticated)),
            stop=stop_never if patience_seconds is None else stop_after_delay(patience_seconds),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            reraise=True,
        )
        async for attempt in patient:
            with attempt:
                return await self._once(method, path, body, params=params, key=key, timeout=timeout)
        raise RelayUnavailable

    async def _once(
        self,
        method: str,
        path: str,
        body: BaseModel | None,
        *,
        params: dict[str, Any] | None,
        key: str | None,
        timeout: float,
    ) -> httpx.Response:
        """An expired token counts as absence: the lease keeper renews it, and the call comes again."""
        headers = self._authorized()
        if body is not None:
            headers["content-type"] = "application/json"
        if key is not None:
            headers["idempotency-key"] = key
        content = reveal(body) if body is not None else None
        with _absence():
            answer = await self._http.request(
                method, path, content=content, params=params, headers=headers, timeout=timeout
            )
        if answer.is_error:
            raise self._heard(error_of(answer.status_code, answer.content))
        return answer

    def _authorized(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token.get_secret_value()}"}

    def _heard(self, error: X1Error) -> X1Error:
        if isinstance(error, LeaseLost):
            self._on_lost(error)
        return error


@contextmanager
def _absence() -> Generator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise RelayUnavailable(
            f"the relay does not answer ({type(error).__name__}); try again later"
        ) from error
