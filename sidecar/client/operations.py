"""The relay as previews' flow runs see it: one claims an operation and reports; a sweep asks what should be."""

from typing import Any, Final, Self

import httpx
from pydantic import BaseModel, SecretStr

from sidecar.client.errors import error_of
from sidecar.domain.errors import RelayUnavailable
from sidecar.wire.model import reveal
from sidecar.wire.preview_sweeps import ServedAnswer, ServedRequest, SweepAnswer, SweepRequest
from sidecar.wire.previews import (
    OperationAnswer,
    OperationBundle,
    OperationClaim,
    OperationProgress,
)

TIMEOUT_SECONDS: Final = 20.0


class OperationsClient:
    """Asks once a call. Raises RelayUnavailable when the relay is away: every call may be repeated."""

    def __init__(self, relay_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url=relay_url, timeout=TIMEOUT_SECONDS, transport=transport, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def claim(
        self, operation_id: str, token: SecretStr, request: OperationClaim
    ) -> OperationBundle:
        """With the activation token, which only flows have."""
        content = await self._post(f"/internal/operations/{operation_id}/claim", token, request)
        return OperationBundle.model_validate_json(content)

    async def report(self, bundle: OperationBundle, progress: OperationProgress) -> OperationAnswer:
        """Renews the lease. Raises LeaseLost when another run has the operation."""
        path = f"/internal/operations/{bundle.operation_id}/progress"
        return OperationAnswer.model_validate_json(await self._post(path, bundle.token, progress))

    async def served(self, token: SecretStr, request: ServedRequest) -> ServedAnswer:
        """What should stand, for a sweep; with the activation token."""
        content = await self._post("/internal/previews/served", token, request)
        return ServedAnswer.model_validate_json(content)

    async def settle(self, token: SecretStr, request: SweepRequest) -> SweepAnswer:
        """What a sweep found, and what is to be done about it; with the activation token."""
        content = await self._post("/internal/previews/sweep", token, request)
        return SweepAnswer.model_validate_json(content)

    async def _post(self, path: str, token: SecretStr, body: BaseModel) -> bytes:
        headers: dict[str, Any] = {
            "authorization": f"Bearer {token.get_secret_value()}",
            "content-type": "application/json",
        }
        try:
            answer = await self._http.post(path, content=reveal(body), headers=headers)
        except httpx.TransportError as error:
            raise RelayUnavailable(f"the relay does not answer: {type(error).__name__}") from error
        if answer.is_error:
            raise error_of(answer.status_code, answer.content)
        return answer.content
