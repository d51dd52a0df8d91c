"""What a git gateway asks the relay: narrowed tokens, and whether one commit descends from another."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from sidecar.wire.model import Secret, WireModel


class TokenRequest(WireModel):
    """POST /internal/git/token: one attached repository of this session, read or write."""

    repo: str
    access: Literal["read", "write"]


class TokenAnswer(WireModel):
    """`git_url` is the forge's smart-HTTP base, e.g. `https://github.com`; user is `x-access-token`.

    `egress` opens the forge's host at the egress proxy, for the gateway and not for the agent; None where the
    forge is beside the relay, and reached without it.
    """

    token: Secret
    expires_at: datetime
    git_url: str
    egress: Secret | None = None


class CompareRequest(WireModel):
    """POST /internal/git/compare: is `old` an ancestor of `new` on the forge? Commit ids only."""

    repo: str = Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
    old: str = Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")
    new: str = Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")


class CompareAnswer(WireModel):
    is_ancestor: bool


class PushRequest(WireModel):
    """POST /internal/git/policy: the fence before a push is passed on, and again before its last bytes.

    200 means: this generation still holds the lease and the attachment still allows it; else 409 or 403.
    """

    repo: str
    updates: list[dict[str, str]]
    """Each {ref, old, new}."""
    phase: Literal["begin", "commit"]


class PushAnswer(WireModel):
    allowed: bool
    reason: str
