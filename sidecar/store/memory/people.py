"""Agents, grants, requests, claimed items and the audit in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sidecar.domain.agent import Agent
from sidecar.domain.audit import AuditEntry
from sidecar.domain.errors import AgentUnknown, GrantMissing, GrantUnknown, RequestUnknown
from sidecar.domain.grant import Grant
from sidecar.domain.ids import AgentSlug, GrantId, RequestId, SessionId
from sidecar.domain.request import HumanRequest
from sidecar.store.memory.state import State


class MemoryAgents:
    def __init__(self, state: State) -> None:
        self._held = state.agents

    async def put(self, agent: Agent) -> None:
        self._held[agent.slug] = agent

    async def get(self, slug: AgentSlug) -> Agent:
        if slug not in self._held:
            raise AgentUnknown(f"no agent {slug}; `x1 agents list` shows those applied")
        return self._held[slug]

    async def list_all(self) -> Sequence[Agent]:
        return sorted(self._held.values(), key=lambda each: each.slug)


class MemoryGrants:
    def __init__(self, state: State) -> None:
        self._held = state.grants

    async def insert(self, grant: Grant) -> None:
        self._held[grant.id] = grant

    async def of_agent(self, agent: AgentSlug) -> Sequence[Grant]:
        return [each for each in await self.list_all() if each.agent == agent and each.is_active]

    async def list_all(self) -> Sequence[Grant]:
        return sorted(self._held.values(), key=lambda each: each.id)

    async def consume(self, grant_id: GrantId, at: datetime) -> None:
        grant = self._held.get(grant_id)
        if grant is None or not grant.is_active:
            raise GrantMissing(f"grant {grant_id} is no longer active")
        self._held[grant_id] = replace(grant, consumed_at=at)

    async def revoke(self, grant_id: GrantId, at: datetime) -> None:
        grant = self._held.get(grant_id)
        if grant is None:
            raise GrantUnknown(f"no grant {grant_id}")
        if grant.revoked_at is None:
            self._held[grant_id] = replace(grant, revoked_at=at)


class MemoryRequests:
    def __init__(self, state: State) -> None:
        self._held = state.requests

    async def insert(self, request: HumanRequest) -> None:
        self._held[request.id] = request

    async def lock(self, request_id: RequestId) -> HumanRequest:
        if request_id not in self._held:
            raise RequestUnknown(f"no request {request_id}")
        return self._held[request_id]

    async def save(self, request: HumanRequest) -> None:
        self._held[request.id] = request

    async def open(self) -> Sequence[HumanRequest]:
        unanswered = [each for each in self._held.values() if each.answered_at is None]
        return sorted(unanswered, key=lambda each: each.id)


class MemoryItems:
    def __init__(self, state: State) -> None:
        self._held = state.items

    async def claim(
        self, workspace: str, item: str, holder: SessionId, until: datetime, now: datetime
    ) -> SessionId:
        standing, ends = self._held.get((workspace, item), (holder, until))
        if standing == holder or ends < now:
            self._held[workspace, item] = (holder, until)
            return holder
        return SessionId(standing)

    async def release(self, workspace: str, item: str, holder: SessionId) -> bool:
        if self._held.get((workspace, item), ("", None))[0] != holder:
            return False
        del self._held[workspace, item]
        return True


class MemoryAudit:
    def __init__(self, state: State) -> None:
        self._state = state

    async def record(self, entry: AuditEntry) -> None:
        self._state.audit = (*self._state.audit, entry)

    async def latest(self, limit: int = 200) -> Sequence[AuditEntry]:
        return self._state.audit[::-1][:limit]
