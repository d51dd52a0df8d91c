"""Who claims: a flow of this installation, proven by a shared token's file or by the token of its pod.

The file is one machine's way: whoever holds it is a flow. On Kubernetes no secret is shared; the token is the
pod's own, and its claim must name that pod.
"""

import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from sidecar.domain.errors import Forbidden, PodMismatch, Unauthenticated

Claimed = Literal["session", "operation"]
"""What a flow works on: an agent's session, or an operation on a preview."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationProof:
    """`pod_uid` is the only pod that this caller may claim for; None: any process. `what` is all it may claim."""

    pod_uid: str | None = None
    what: Claimed | None = None

    def require(self, nonce: str, what: Claimed) -> None:
        """Raises PodMismatch for another pod's nonce, Forbidden for what this pod is not for."""
        if self.what not in (None, what):
            raise Forbidden(f"this service account claims no {what}s")
        if self.pod_uid not in (None, nonce):
            raise PodMismatch


class ActivationTokens(Protocol):
    async def prove(self, token: str) -> ActivationProof:
        """Raises Unauthenticated, Forbidden, and KubernetesUnavailable when it cannot be known now."""
        ...


class TokenFile:
    """Read at each call, so that replacing the file is all a rotation takes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def prove(self, token: str) -> ActivationProof:
        expected = self._path.read_text().strip()
        if not expected:
            raise Unauthenticated(f"{self._path.name} is empty: nobody can be let in by it")
        if not hmac.compare_digest(token.encode(), expected.encode()):
            raise Unauthenticated("this route takes the activation token")
        return ActivationProof()
