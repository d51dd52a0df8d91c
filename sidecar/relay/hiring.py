"""May this session hire that agent? Every rule in one place, each refusal with its code and reason."""

from datetime import datetime, timedelta
from typing import Final

from sidecar.domain.agent import Agent
from sidecar.domain.budget import Budget
from sidecar.domain.errors import (
    AgentNotPermitted,
    AgentUnknown,
    BudgetExhausted,
    DepthExceeded,
    ItemClaimed,
    MissingSecrets,
)
from sidecar.domain.grant import Grant, GrantScope, GrantType, decide
from sidecar.domain.ids import AgentSlug
from sidecar.domain.session import Session
from sidecar.relay.budgets import limits, remaining
from sidecar.relay.family import ancestors, live_children
from sidecar.relay.rights import Rights
from sidecar.relay.secret_names import sort_out
from sidecar.relay.services import Services
from sidecar.store.port import Transaction

MOST_SESSIONS_A_DAY: Final = 1000
ITEM_HELD_FOR: Final = timedelta(hours=4)


async def permit(
    tx: Transaction, services: Services, rights: Rights, slug: AgentSlug
) -> tuple[Agent, Grant]:
    """The child's agent and the grant that covers it, a `once` grant consumed.

    Raises AgentNotPermitted, DepthExceeded, MissingSecrets, BudgetExhausted.
    """
    session = rights.session
    agent = await _agent(tx, slug)
    decision, grant = decide(
        rights.grants, kind=GrantType.SPAWN, target=slug, session_id=session.id
    )
    if grant is None:
        raise AgentNotPermitted(f"{decision.reason}: only a human grants; ask for it")
    await _refuse_circles(tx, session, slug)
    await _refuse_crowds(tx, rights)
    missing = sort_out(services.settings.secrets_dir, agent.requires_secrets).missing
    if missing:
        raise MissingSecrets(
            f"{slug} needs {', '.join(missing)}: a human must configure it; go on with something else"
        )
    await _refuse_spent_days(tx, services, agent)
    if grant.scope is GrantScope.ONCE:
        await tx.grants.consume(grant.id, services.now())
    return agent, grant


async def take_item(tx: Transaction, session: Session, item: str, now: datetime) -> None:
    """For the session's whole tree. Raises ItemClaimed."""
    holder = await tx.items.claim(
        session.workspace, item, session.root_session_id, now + ITEM_HELD_FOR, now
    )
    if holder != session.root_session_id:
        raise ItemClaimed(f"{item} is worked on by session {holder}")


async def _agent(tx: Transaction, slug: AgentSlug) -> Agent:
    try:
        return await tx.agents.get(slug)
    except AgentUnknown as error:
        raise AgentNotPermitted(f"there is no agent {slug!r} that you may hire") from error


async def _refuse_circles(tx: Transaction, session: Session, slug: AgentSlug) -> None:
    if slug == session.agent:
        raise AgentNotPermitted("an agent does not hire itself")
    if any(above.agent == slug for above in await ancestors(tx, session)):
        raise AgentNotPermitted(f"{slug} is above you: an agent does not hire an ancestor")


async def _refuse_crowds(tx: Transaction, rights: Rights) -> None:
    session, allowed = rights.session, rights.agent.limits
    if session.depth + 1 > allowed.depth:
        raise DepthExceeded(
            f"a child here would be at depth {session.depth + 1} of {allowed.depth}"
        )
    alive = len(await live_children(tx, session.id))
    if alive >= allowed.children:
        raise AgentNotPermitted(
            f"you have {alive} live children, which is the limit: end one first"
        )


async def _refuse_spent_days(tx: Transaction, services: Services, agent: Agent) -> None:
    """The limits that an agent's sessions of one day (UTC) share."""
    day = Budget(usd=agent.budget.usd_per_day, tokens=agent.budget.tokens_per_day)
    if not limits(day):
        return
    today = services.now().date()
    rows = await tx.sessions.find(agent=agent.slug, limit=MOST_SESSIONS_A_DAY)
    left = remaining(day, *(row for row in rows if row.created_at.date() == today))
    spent = [name for name, value in left.items() if value <= 0]
    if spent:
        raise BudgetExhausted(f"{agent.slug} has spent its {' and '.join(spent)} of today")
