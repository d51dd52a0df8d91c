"""Snapshots in PostgreSQL."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from sidecar.domain.ids import SessionId
from sidecar.domain.snapshot import Snapshot
from sidecar.store.rows import Rows
from sidecar.store.tables import sessions, snapshots


class PostgresSnapshots:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._rows = Rows(connection, snapshots, Snapshot)

    async def put(self, snapshot: Snapshot) -> None:
        row = self._rows.to_row(snapshot)
        statement = insert(snapshots).values(row)
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=["session_id"], set_=row)
        )

    async def of_session(self, session_id: SessionId) -> Snapshot | None:
        return await self._rows.first(self._rows.where(snapshots.c.session_id == session_id))

    async def digests(self) -> Collection[str]:
        query = select(snapshots.c.digest).distinct()
        return set((await self._connection.execute(query)).scalars())

    async def drop_ended(self, before: datetime) -> int:
        ended = select(sessions.c.id).where(sessions.c.ended_at < before)
        done = await self._connection.execute(
            delete(snapshots).where(snapshots.c.session_id.in_(ended))
        )
        return done.rowcount
