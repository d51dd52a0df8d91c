"""Kubernetes' API as this pod's service account, over HTTPS with the cluster's own CA.

Plain REST: a handful of calls needs no client library.
"""

import json
import re
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential_jitter

from sidecar.domain.errors import KubernetesUnavailable

TIMEOUT_SECONDS: Final = 5.0
QUIET_SECONDS: Final = 60.0
MAX_LINE_BYTES: Final = 64 << 10
AWAY: Final = (None, 429, 500, 502, 503, 504)
"""500 is its own word for an etcd that does not answer: https://kubernetes.io/docs/reference/using-api/api-concepts/"""
LEARNING_SECONDS: Final = 15.0
"""As long an API server that starts may know neither a service account nor its roles."""
UNAUTHENTICATED: Final = 401
FORBIDDEN: Final = 403
_LACKS_A_ROLE: Final = re.compile(r"User \".+\" cannot \w+ resource")
"""RBAC's sentence. A quota's and an admission's refusal read otherwise, and do not pass by waiting."""
_SHOWN: Final = 1000


class KubernetesApi:
    """`directory` holds `token` and `ca.crt`; the token is read at each call, since the kubelet replaces it.

    Each call but `lines` is repeated for `patience_seconds` while the API server is away: a POST may then be
    answered that its object is there (409), and a DELETE that it is not (404).
    """

    def __init__(
        self,
        url: str,
        directory: Path,
        patience_seconds: float = 0.0,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._patience_seconds = patience_seconds
        self._token_file = directory / "token"
        ca = directory / "ca.crt"
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            transport=transport,
            verify=True if transport else ssl.create_default_context(cafile=str(ca)),
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The answer's object. Raises KubernetesUnavailable for everything else; its `status` says what came."""
        headers = {"content-type": "application/json"} if body is not None else {}
        return _object(await self._asked(method, path, query, body, headers))

    async def apply(self, path: str, body: Mapping[str, Any], manager: str) -> dict[str, Any]:
        """Server-side, taking over fields that others own: made, or made alike. Raises as `call`."""
        query = {"fieldManager": manager, "force": "true"}
        headers = {"content-type": "application/apply-patch+yaml"}  # JSON is YAML
        return _object(await self._asked("PATCH", path, query, body, headers))

    async def text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """What is no object: a container's log. Raises as `call`."""
        return (await self._asked("GET", path, query, None, {})).text

    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[str]:
        """A log that is followed, line by line as it comes. Raises as `call`.

        Ends when the server ends it, or has said nothing for QUIET_SECONDS: whoever follows looks whether there is
        more to come. A longer line is cut at MAX_LINE_BYTES.
        """
        timeout = httpx.Timeout(TIMEOUT_SECONDS, read=QUIET_SECONDS)
        async with self._answered("GET", path, query=query, timeout=timeout) as answer:
            rest = b""
            try:
                async for chunk in answer.aiter_bytes():
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        yield _line(line)
                    rest = rest[:MAX_LINE_BYTES]
            except httpx.ReadTimeout:
                return
            if rest:
                yield _line(rest)

    async def _asked(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
    ) -> httpx.Response:
        patiently = AsyncRetrying(
            retry=retry_if_exception(lambda error: _is_away(error) or _is_learning(error)),
            stop=_Patience(self._patience_seconds),
            wait=wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.5),
            reraise=True,
        )
        return await patiently(self._asked_once, method, path, query, body, headers)

    async def _asked_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
    ) -> httpx.Response:
        timeout = httpx.Timeout(TIMEOUT_SECONDS)
        async with self._answered(
            method, path, query=query, body=body, headers=headers, timeout=timeout
        ) as answer:
            await answer.aread()
            return answer

    @asynccontextmanager
    async def _answered(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        timeout: httpx.Timeout,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[httpx.Response]:
        """A good answer, whose content is still to be read."""
        try:
            token = self._token_file.read_text().strip()
            async with self._http.stream(
                method,
                path,
                params=query,
                content=json.dumps(body) if body is not None else None,
                headers={**(headers or {}), "authorization": f"Bearer {token}"},
                timeout=timeout,
            ) as answer:
                if answer.is_error:
                    await answer.aread()
                    raise KubernetesUnavailable(
                        f"Kubernetes' API answers HTTP {answer.status_code} to {method} {path}:"
                        f" {_words(answer)}",
                        answer.status_code,
                    )
                yield answer
        except (httpx.TransportError, OSError) as error:
            raise KubernetesUnavailable(
                f"Kubernetes' API does not answer: {type(error).__name__}"
            ) from error


def _is_away(error: BaseException) -> bool:
    """No answer, or one that says: later. Others stay what they are."""
    return isinstance(error, KubernetesUnavailable) and error.status in AWAY


def _is_learning(error: BaseException | None) -> bool:
    """It refuses who is let in, or it may: it looks the same until it has read its roles."""
    if not isinstance(error, KubernetesUnavailable):
        return False
    lacks_a_role = error.status == FORBIDDEN and _LACKS_A_ROLE.search(str(error)) is not None
    return lacks_a_role or error.status == UNAUTHENTICATED


class _Patience:
    """One call's: `seconds` for a server that is away, and of these LEARNING_SECONDS for one that is learning."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._refused_at: float | None = None

    def __call__(self, state: RetryCallState) -> bool:
        if (state.seconds_since_start or 0.0) >= self._seconds:
            return True
        if not _is_learning(state.outcome.exception() if state.outcome else None):
            self._refused_at = None
            return False
        now = time.monotonic()
        self._refused_at = self._refused_at or now
        return now - self._refused_at >= LEARNING_SECONDS


def _line(content: bytes) -> str:
    return content[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip("\r")


def _words(answer: httpx.Response) -> str:
    """The message of a Status object, else the beginning of what came."""
    try:
        return str(answer.json()["message"])[:_SHOWN]
    except (ValueError, KeyError, TypeError):
        return answer.text[:_SHOWN]


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError as error:
        raise KubernetesUnavailable("Kubernetes' API answers what is no JSON") from error
    if not isinstance(found, dict):
        raise KubernetesUnavailable("Kubernetes' API answers what is no object")
    return found
