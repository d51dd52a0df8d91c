"""What was spent, by a session, its tree, its agent or its agent's day, and what is left."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sidecar.domain.budget import Budget
from sidecar.domain.errors import InvalidArguments
from sidecar.domain.session import Session
from sidecar.relay.budgets import limits, remaining
from sidecar.relay.fence import check
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.relay.usage import added, dollars
from sidecar.store.port import Transaction
from sidecar.wire.sessions import CostAnswer

SCOPES: Final = ("session", "tree", "agent", "day")
MOST_SESSIONS: Final = 10_000


async def costs(services: Services, claims: SessionClaims, scope: str) -> CostAnswer:
    """Raises InvalidArguments, LeaseLost, SessionEnded."""
    async with services.store.transaction() as tx:
        session = await tx.sessions.get(claims.session_id)
        check(session, claims)
        rows = await _in_scope(tx, session, scope, services.now())
    return _answer(session.budget, scope, rows)


async def _in_scope(
    tx: Transaction, session: Session, scope: str, now: datetime
) -> Sequence[Session]:
    match scope:
        case "session":
            return [session]
        case "tree":
            return await tx.sessions.find(root=session.root_session_id, limit=MOST_SESSIONS)
        case "agent":
            return await tx.sessions.find(agent=session.agent, limit=MOST_SESSIONS)
        case "day":
            rows = await tx.sessions.find(agent=session.agent, limit=MOST_SESSIONS)
            return [row for row in rows if row.created_at.date() == now.date()]
        case _:
            raise InvalidArguments(f"scope: expected one of {', '.join(SCOPES)}, not {scope!r}")


def _answer(budget: Budget, scope: str, rows: Sequence[Session]) -> CostAnswer:
    usage = added(*(row.usage for row in rows))
    if scope == "day":
        day = Budget(usd=budget.usd_per_day, tokens=budget.tokens_per_day)
        limited, left = limits(day), remaining(day, *rows)
    elif scope == "session":
        limited, left = limits(budget), remaining(budget, *rows)
    else:
        limited, left = {}, {}
    return CostAnswer(
        usd=dollars(usage),
        tokens={row.model: row.input_tokens + row.output_tokens for row in usage},
        budget=limited,
        remaining=left,
    )
