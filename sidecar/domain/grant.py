"""Grants: rights given to an agent by a human. Agents only ask."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sidecar.domain.ids import AgentSlug, GrantId, SessionId
from sidecar.domain.policy import Decision, allow, deny


class GrantType(StrEnum):
    SPAWN = "spawn"
    PUSH = "push"
    MERGE = "merge"
    MODEL = "model"
    TOOL = "tool"
    NETWORK = "network"
    SECRET = "secret"  # noqa: S105 - a kind of grant, not a secret


class GrantScope(StrEnum):
    ONCE = "once"
    SESSION = "session"
    PERSISTENT = "persistent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """`target` is what the right is over: an agent's slug (spawn), `owner/name` (push, merge), a name.

    `session_id` is set for scope `session`; `consumed_at` for a used `once`.
    """

    id: GrantId
    agent: AgentSlug
    type: GrantType
    target: str
    scope: GrantScope
    granted_by: str
    created_at: datetime
    session_id: SessionId | None = None
    revoked_at: datetime | None = None
    consumed_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        return self.revoked_at is None and self.consumed_at is None


def decide(
    grants: Iterable[Grant], *, kind: GrantType, target: str, session_id: SessionId
) -> tuple[Decision, Grant | None]:
    """Whether one of an agent's grants covers `target`, and which: the widest scope is used first."""
    order = (GrantScope.PERSISTENT, GrantScope.SESSION, GrantScope.ONCE)
    fitting = [
        grant
        for grant in grants
        if grant.is_active
        and grant.type is kind
        and grant.target == target
        and (grant.scope is not GrantScope.SESSION or grant.session_id == session_id)
    ]
    if not fitting:
        return deny(f"no active {kind} grant over {target}"), None
    chosen = min(fitting, key=lambda grant: order.index(grant.scope))
    return allow(f"{chosen.scope} {kind} grant {chosen.id} by {chosen.granted_by}"), chosen
