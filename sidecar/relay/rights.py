"""What an agent may do, for one session of it: the grants that stand, asked at each use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sidecar.domain.agent import Agent
from sidecar.domain.attachment import Attachment
from sidecar.domain.errors import AgentUnknown
from sidecar.domain.grant import Grant, GrantScope, GrantType, decide
from sidecar.domain.session import Session
from sidecar.store.port import Transaction
from sidecar.wire import tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    session: Session
    agent: Agent
    grants: Sequence[Grant]

    def may(self, kind: GrantType, target: str) -> bool:
        return decide(self.grants, kind=kind, target=target, session_id=self.session.id)[0].allowed

    def attachments(self) -> tuple[Attachment, ...]:
        """As the agent's file says, pushing only where a grant says so too."""
        return tuple(
            replace(
                each,
                allow_push=each.allow_push and self.may(GrantType.PUSH, each.repo),
                allow_merge=each.allow_merge and self.may(GrantType.MERGE, each.repo),
            )
            for each in self.agent.repos
        )

    def spawnable(self) -> list[str]:
        """Slugs, in the order in which they were granted; never the agent itself."""
        targets = [grant.target for grant in self.grants if grant.type is GrantType.SPAWN]
        return [
            slug
            for slug in dict.fromkeys(targets)
            if slug != self.session.agent and self.may(GrantType.SPAWN, slug)
        ]

    def tools(self) -> list[str]:
        """A worker sees only what it may use."""
        spawning = tools.WITH_SPAWN if self.spawnable() else ()
        merging = tools.WITH_MERGE if self._merges() else ()
        return [*tools.EVERYONE, *spawning, *merging]

    def allow_hosts(self) -> list[str]:
        """The agent's own, and those that a human granted. A grant of scope `once` opens none."""
        granted = [
            grant.target
            for grant in self.grants
            if grant.type is GrantType.NETWORK
            and grant.scope is not GrantScope.ONCE
            and self.may(GrantType.NETWORK, grant.target)
        ]
        return list(dict.fromkeys([*self.agent.allow_hosts, *granted]))

    def _merges(self) -> bool:
        return any(
            grant.type is GrantType.MERGE and self.may(GrantType.MERGE, grant.target)
            for grant in self.grants
        )


async def rights_of(tx: Transaction, session: Session) -> Rights:
    """Raises AgentUnknown when the agent's definition is gone."""
    return Rights(
        session=session,
        agent=await tx.agents.get(session.agent),
        grants=await tx.grants.of_agent(session.agent),
    )


async def spawnable_agents(tx: Transaction, rights: Rights) -> list[Agent]:
    """A grant for an agent that is not defined (yet) is left out."""
    agents: list[Agent] = []
    for slug in rights.spawnable():
        try:
            agents.append(await tx.agents.get(slug))  # pyright: ignore[reportArgumentType] - a grant's target is text
        except AgentUnknown:
            continue
    return agents
