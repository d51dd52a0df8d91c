"""Events in PostgreSQL: numbered under their session's row lock, stored once.

A batch of any size takes the same few statements: values travel as one array a column, as PostgreSQL takes
no more than 65,535 parameters.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ARRAY, Text, any_, cast, column, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.selectable import TableValuedAlias

from sidecar.domain.errors import SessionUnknown
from sidecar.domain.event import Event, NewEvent
from sidecar.domain.ids import EnvelopeId, SessionId
from sidecar.store.tables import session_events, sessions

COLUMNS = tuple(each.name for each in session_events.columns)
PLACE = ("session_id", "generation", "source", "source_sequence")
"""Where an event stands in its source's own count."""


class PostgresEvents:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def append(self, session_id: SessionId, events: Sequence[NewEvent]) -> Sequence[Event]:
        stored = await self._append(events)
        if stored is None:
            raise SessionUnknown(f"no session {session_id}")
        return stored

    async def append_many(self, events: Sequence[NewEvent]) -> Sequence[Event]:
        return await self._append(events) or ()

    async def _append(self, events: Sequence[NewEvent]) -> Sequence[Event] | None:
        """None when none of the sessions is known."""
        if not events:
            return ()
        last = await self._lock_numbers({event.session_id for event in events})
        if not last:
            return None
        known = await self._known(events)
        fresh: list[Event] = []
        for event in events:
            if event.session_id not in last or not known.is_new(event):
                continue
            last[event.session_id] += 1
            fresh.append(_numbered(event, last[event.session_id]))
        if fresh:
            await self._insert(fresh)
            await self._move(fresh)
        return fresh

    async def _lock_numbers(self, ids: set[SessionId]) -> dict[SessionId, int]:
        query = (
            select(sessions.c.id, sessions.c.last_sequence)
            .where(sessions.c.id == _any_of(ids))
            .order_by(sessions.c.id)
            .with_for_update()
        )
        return {
            SessionId(row.id): row.last_sequence for row in await self._connection.execute(query)
        }

    async def _known(self, events: Sequence[NewEvent]) -> "_Known":
        table = session_events.c
        query = select(table.id).where(table.id == _any_of(event.id for event in events))
        known = _Known(ids=set((await self._connection.execute(query)).scalars()))
        numbered = [event for event in events if event.source_sequence is not None]
        if numbered:
            offered = _as_table(numbered, PLACE)
            here = [table[name] for name in PLACE]
            query = select(*here).where(*(table[name] == offered.c[name] for name in PLACE))
            known.observed.update(tuple(row) for row in await self._connection.execute(query))
        return known

    async def _insert(self, fresh: Sequence[Event]) -> None:
        rows = _as_table(fresh, COLUMNS)
        await self._connection.execute(
            insert(session_events).from_select(COLUMNS, select(*(rows.c[name] for name in COLUMNS)))
        )

    async def _move(self, fresh: Sequence[Event]) -> None:
        newest = _as_table(
            list({event.session_id: event for event in fresh}.values()), ("session_id", "sequence")
        )
        await self._connection.execute(
            update(sessions)
            .where(sessions.c.id == newest.c.session_id)
            .values(last_sequence=newest.c.sequence, last_event_at=func.now())
        )

    async def after(
        self,
        session_id: SessionId,
        sequence: int,
        *,
        limit: int = 500,
        types: Sequence[str] = (),
        newest_first: bool = False,
    ) -> Sequence[Event]:
        table = session_events.c
        query = select(session_events).where(
            table.session_id == session_id, table.sequence > sequence
        )
        if types:
            query = query.where(table.type.in_(list(types)))
        order = table.sequence.desc() if newest_first else table.sequence
        rows = (await self._connection.execute(query.order_by(order).limit(limit))).mappings()
        return [Event(**row) for row in rows]

    async def last_source_sequence(
        self, session_id: SessionId, generation: int, source: str
    ) -> int:
        table = session_events.c
        query = select(func.coalesce(func.max(table.source_sequence), 0)).where(
            table.session_id == session_id, table.generation == generation, table.source == source
        )
        return int((await self._connection.execute(query)).scalar_one())


class _Known:
    """What is stored already, and what this batch has brought so far."""

    def __init__(self, *, ids: set[str]) -> None:
        self.ids = ids
        self.observed: set[tuple[Any, ...]] = set()

    def is_new(self, event: NewEvent) -> bool:
        place = (event.session_id, event.generation, event.source, event.source_sequence)
        if event.id in self.ids or (event.source_sequence is not None and place in self.observed):
            return False
        self.ids.add(event.id)
        self.observed.add(place)
        return True


def _numbered(event: NewEvent, sequence: int) -> Event:
    return Event(
        id=EnvelopeId(event.id),
        session_id=event.session_id,
        sequence=sequence,
        generation=event.generation,
        source=event.source,
        source_sequence=event.source_sequence,
        timestamp=event.timestamp,
        type=event.type,
        payload=event.payload,
    )


def _any_of(ids: Iterable[str]) -> Any:
    return any_(cast(sorted(ids), ARRAY(Text)))


def _as_table(events: Sequence[NewEvent | Event], names: Sequence[str]) -> TableValuedAlias:
    """The named fields of `events` as a table that statements may read from."""
    columns = [session_events.c[name] for name in names]
    arrays = [
        cast([getattr(event, each.name) for event in events], ARRAY(each.type)) for each in columns
    ]
    return (
        func.unnest(*arrays)
        .table_valued(*(column(each.name, each.type) for each in columns), name="offered")
        .render_derived()
    )
