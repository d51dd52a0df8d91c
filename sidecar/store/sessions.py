"""Sessions and activations in PostgreSQL. Its constraints decide; this file names them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import exists, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from sidecar.domain.errors import ActivationOpen, LiveSessionExists, SessionEnded, SessionUnknown
from sidecar.domain.ids import ActivationId, AgentSlug, FlowRunId, SessionId
from sidecar.domain.session import TERMINAL, Activation, Session, SessionStatus
from sidecar.store.constraints import violates
from sidecar.store.rows import Rows
from sidecar.store.tables import activations, sessions, wakes

ENDED = [status.value for status in TERMINAL]
UNREAD = ["accepted", "delivered", "read"]
is_live = sessions.c.status.not_in(ENDED)


class PostgresSessions:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._rows = Rows(connection, sessions, Session, SessionUnknown)

    async def insert(self, session: Session) -> None:
        try:
            async with self._connection.begin_nested():
                await self._rows.insert(session)
        except IntegrityError as error:
            if violates(error, "sessions_one_live"):
                raise LiveSessionExists(f"{session.agent} has a live session already") from error
            raise

    async def get(self, session_id: SessionId) -> Session:
        return await self._rows.one(session_id)

    async def lock(self, session_id: SessionId) -> Session:
        return await self._rows.one(session_id, lock=True)

    async def save(self, session: Session) -> None:
        if not await self._rows.save(session, sessions.c.id == session.id, is_live):
            stored = await self.get(session.id)
            raise SessionEnded(f"session {session.id} is {stored.status}; that never changes")

    async def live(self, workspace: str, agent: AgentSlug) -> Session | None:
        return await self._rows.first(
            self._rows.where(
                sessions.c.workspace == workspace, sessions.c.agent == agent, is_live
            ).order_by(sessions.c.id.desc())
        )

    async def children(self, parent: SessionId) -> Sequence[Session]:
        return await self._rows.all(
            self._rows.where(sessions.c.parent_session_id == parent).order_by(sessions.c.id)
        )

    async def find(
        self,
        *,
        statuses: Sequence[SessionStatus] = (),
        agent: AgentSlug | None = None,
        root: SessionId | None = None,
        id_prefix: str | None = None,
        limit: int = 200,
    ) -> Sequence[Session]:
        query = self._rows.where()
        if statuses:
            query = query.where(sessions.c.status.in_([each.value for each in statuses]))
        if agent is not None:
            query = query.where(sessions.c.agent == agent)
        if root is not None:
            query = query.where(sessions.c.root_session_id == root)
        if id_prefix is not None:
            query = query.where(sessions.c.id.startswith(id_prefix, autoescape=True))
        newest = query.order_by(sessions.c.created_at.desc(), sessions.c.id.desc())
        return await self._rows.all(newest.limit(limit))

    async def with_expired_lease(self, now: datetime) -> Sequence[Session]:
        return await self._rows.all(
            self._rows.where(
                sessions.c.status == SessionStatus.RUNNING.value,
                sessions.c.lease_expires_at < now,
            )
        )

    async def needing_activation(self, limit: int) -> Sequence[SessionId]:
        is_open = exists().where(
            activations.c.session_id == sessions.c.id, activations.c.state != "ended"
        )
        has_unread = exists().where(
            wakes.c.session_id == sessions.c.id, wakes.c.receipt.in_(UNREAD)
        )
        query = (
            select(sessions.c.id)
            .where(is_live, ~is_open)
            .where(or_(has_unread, sessions.c.status.in_(["pending", "running"])))
            .order_by(sessions.c.id)
            .limit(limit)
        )
        return [SessionId(found) for found in (await self._connection.execute(query)).scalars()]

    async def watchdog_due(self, now: datetime) -> Sequence[Session]:
        return await self._rows.all(
            self._rows.where(
                is_live,
                sessions.c.parent_session_id.is_not(None),
                sessions.c.watchdog_due_at <= now,
            )
        )

    async def past_deadline(self, now: datetime) -> Sequence[Session]:
        minutes = sessions.c.budget["wall_minutes"].as_float()
        deadline = sessions.c.created_at + func.make_interval(0, 0, 0, 0, 0, 0, minutes * 60)
        return await self._rows.all(self._rows.where(is_live, deadline <= now))


class PostgresActivations:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._rows = Rows(connection, activations, Activation)

    async def insert(self, activation: Activation) -> None:
        try:
            async with self._connection.begin_nested():
                await self._rows.insert(activation)
        except IntegrityError as error:
            if violates(error, "activations_one_open"):
                raise ActivationOpen(
                    f"session {activation.session_id} has an open activation"
                ) from error
            raise

    async def get(self, activation_id: ActivationId) -> Activation:
        return await self._rows.one(activation_id)

    async def lock(self, activation_id: ActivationId) -> Activation:
        return await self._rows.one(activation_id, lock=True)

    async def save(self, activation: Activation) -> None:
        await self._rows.save(activation)

    async def open_of(self, session_id: SessionId) -> Activation | None:
        return await self._rows.first(
            self._rows.where(activations.c.session_id == session_id, activations.c.state != "ended")
        )

    async def all_open(self) -> Sequence[Activation]:
        return await self._rows.all(
            self._rows.where(activations.c.state != "ended").order_by(activations.c.id)
        )

    async def of_flow_run(self, flow_run_id: FlowRunId) -> Activation | None:
        return await self._rows.first(
            self._rows.where(activations.c.flow_run_id == flow_run_id).order_by(
                activations.c.id.desc()
            )
        )

    async def list_of(self, session_id: SessionId) -> Sequence[Activation]:
        return await self._rows.all(
            self._rows.where(activations.c.session_id == session_id).order_by(activations.c.id)
        )

    async def newest(self, session_ids: Sequence[SessionId]) -> Mapping[SessionId, Activation]:
        newest = (
            select(func.max(activations.c.id))
            .where(activations.c.session_id.in_(session_ids))
            .group_by(activations.c.session_id)
        )
        found = await self._rows.all(self._rows.where(activations.c.id.in_(newest)))
        return {each.session_id: each for each in found}
