"""Agents, grants, requests, claimed items and the audit in PostgreSQL: what people decide and read."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from sidecar.domain.agent import Agent
from sidecar.domain.audit import AuditEntry
from sidecar.domain.errors import AgentUnknown, GrantMissing, GrantUnknown, RequestUnknown
from sidecar.domain.grant import Grant
from sidecar.domain.ids import AgentSlug, GrantId, RequestId, SessionId
from sidecar.domain.request import HumanRequest
from sidecar.store.rows import Rows
from sidecar.store.tables import agents, audit, grants, items, requests

_AGENT: TypeAdapter[Agent] = TypeAdapter(Agent)


class PostgresAgents:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def put(self, agent: Agent) -> None:
        row = {"slug": agent.slug, "definition": _AGENT.dump_python(agent, mode="json")}
        statement = upsert(agents).values(row)
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["slug"], set_={"definition": statement.excluded.definition}
            )
        )

    async def get(self, slug: AgentSlug) -> Agent:
        query = select(agents.c.definition).where(agents.c.slug == slug)
        found = (await self._connection.execute(query)).scalar_one_or_none()
        if found is None:
            raise AgentUnknown(f"no agent {slug}; `x1 agents list` shows those applied")
        return _AGENT.validate_python(found)

    async def list_all(self) -> Sequence[Agent]:
        query = select(agents.c.definition).order_by(agents.c.slug)
        found = (await self._connection.execute(query)).scalars()
        return [_AGENT.validate_python(each) for each in found]


class PostgresGrants:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._rows = Rows(connection, grants, Grant, GrantUnknown)
        self._is_active = (grants.c.revoked_at.is_(None), grants.c.consumed_at.is_(None))

    async def insert(self, grant: Grant) -> None:
        await self._rows.insert(grant)

    async def of_agent(self, agent: AgentSlug) -> Sequence[Grant]:
        return await self._rows.all(
            self._rows.where(grants.c.agent == agent, *self._is_active).order_by(grants.c.id)
        )

    async def list_all(self) -> Sequence[Grant]:
        return await self._rows.all(self._rows.where().order_by(grants.c.id))

    async def consume(self, grant_id: GrantId, at: datetime) -> None:
        done = await self._connection.execute(
            update(grants).where(grants.c.id == grant_id, *self._is_active).values(consumed_at=at)
        )
        if not done.rowcount:
            raise GrantMissing(f"grant {grant_id} is no longer active")

    async def revoke(self, grant_id: GrantId, at: datetime) -> None:
        done = await self._connection.execute(
            update(grants)
            .where(grants.c.id == grant_id, grants.c.revoked_at.is_(None))
            .values(revoked_at=at)
        )
        if not done.rowcount:
            await self._rows.one(grant_id)


class PostgresRequests:
    def __init__(self, connection: AsyncConnection) -> None:
        self._rows = Rows(connection, requests, HumanRequest, RequestUnknown)

    async def insert(self, request: HumanRequest) -> None:
        await self._rows.insert(request)

    async def lock(self, request_id: RequestId) -> HumanRequest:
        return await self._rows.one(request_id, lock=True)

    async def save(self, request: HumanRequest) -> None:
        await self._rows.save(request)

    async def open(self) -> Sequence[HumanRequest]:
        return await self._rows.all(
            self._rows.where(requests.c.answered_at.is_(None)).order_by(requests.c.id)
        )


class PostgresItems:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def claim(
        self, workspace: str, item: str, holder: SessionId, until: datetime, now: datetime
    ) -> SessionId:
        statement = upsert(items).values(workspace=workspace, item=item, holder=holder, until=until)
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["workspace", "item"],
                set_={"holder": holder, "until": until},
                where=or_(items.c.holder == holder, items.c.until < now),
            )
        )
        query = select(items.c.holder).where(items.c.workspace == workspace, items.c.item == item)
        return SessionId((await self._connection.execute(query)).scalar_one())

    async def release(self, workspace: str, item: str, holder: SessionId) -> bool:
        done = await self._connection.execute(
            delete(items).where(
                items.c.workspace == workspace, items.c.item == item, items.c.holder == holder
            )
        )
        return bool(done.rowcount)


class PostgresAudit:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def record(self, entry: AuditEntry) -> None:
        await self._connection.execute(insert(audit).values(asdict(entry)))

    async def latest(self, limit: int = 200) -> Sequence[AuditEntry]:
        query = select(*(column for column in audit.c if column.name != "number"))
        rows = await self._connection.execute(query.order_by(audit.c.number.desc()).limit(limit))
        return [AuditEntry(**row) for row in rows.mappings()]
