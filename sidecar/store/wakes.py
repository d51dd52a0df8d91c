"""Wakes in PostgreSQL."""

from collections.abc import Sequence

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from sidecar.domain.errors import WakeUnknown
from sidecar.domain.ids import SessionId, WakeId
from sidecar.domain.wake import Wake
from sidecar.store.rows import Rows
from sidecar.store.tables import wakes

UNDONE = ["accepted", "delivered", "read"]


class PostgresWakes:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._rows = Rows(connection, wakes, Wake, WakeUnknown)

    async def insert(self, wake: Wake) -> Wake:
        done = await self._connection.execute(
            insert(wakes)
            .values(self._rows.to_row(wake))
            .on_conflict_do_nothing(index_elements=["session_id", "dedupe_key"])
            .returning(wakes.c.id)
        )
        if done.first() is not None:
            return wake
        stored = await self._rows.first(
            self._rows.where(
                wakes.c.session_id == wake.session_id, wakes.c.dedupe_key == wake.dedupe_key
            )
        )
        return stored or wake

    async def get(self, wake_id: WakeId) -> Wake:
        return await self._rows.one(wake_id)

    async def lock(self, wake_id: WakeId) -> Wake:
        return await self._rows.one(wake_id, lock=True)

    async def save(self, wake: Wake) -> None:
        await self._rows.save(wake)

    async def undone(self, session_id: SessionId) -> Sequence[Wake]:
        return await self._rows.all(
            self._rows.where(
                wakes.c.session_id == session_id, wakes.c.receipt.in_(UNDONE)
            ).order_by(wakes.c.created_at, wakes.c.id)
        )

    async def list_of(self, session_id: SessionId, limit: int = 200) -> Sequence[Wake]:
        newest = self._rows.where(wakes.c.session_id == session_id).order_by(
            wakes.c.created_at.desc(), wakes.c.id.desc()
        )
        return await self._rows.all(newest.limit(limit))
