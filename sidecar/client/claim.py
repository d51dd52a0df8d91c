"""How a session flow claims its session: with the activation token, which only flows have."""

import httpx
from pydantic import SecretStr

from sidecar.client.errors import error_of
from sidecar.domain.errors import RelayUnavailable
from sidecar.wire.claim import ClaimAnswer, ClaimRequest

CLAIM_TIMEOUT_SECONDS = 20.0


async def claim(relay_url: str, token: SecretStr, request: ClaimRequest) -> ClaimAnswer:
    """Asks once. Raises RelayUnavailable when the relay is away: claiming again is safe."""
    headers = {"authorization": f"Bearer {token.get_secret_value()}"}
    try:
        async with httpx.AsyncClient(
            base_url=relay_url, timeout=CLAIM_TIMEOUT_SECONDS, trust_env=False
        ) as http:
            answer = await http.post(
                "/internal/sessions/claim", json=request.model_dump(), headers=headers
            )
    except httpx.TransportError as error:
        raise RelayUnavailable(
            f"the relay at {relay_url} does not answer: {type(error).__name__}"
        ) from error
    if answer.is_error:
        raise error_of(answer.status_code, answer.content)
    return ClaimAnswer.model_validate_json(answer.content)
