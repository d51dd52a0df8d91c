"""Between aggregates and rows: a column holds the field of its name."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Select, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sidecar.domain.errors import Unknown

Aggregate = TypeVar("Aggregate")


class Rows(Generic[Aggregate]):
    """One aggregate's table on one connection. `missing` is raised when a row that must be there is not."""

    def __init__(
        self,
        connection: AsyncConnection,
        table: Table,
        kind: type[Aggregate],
        missing: type[Unknown] = Unknown,
    ) -> None:
        self._connection = connection
        self._table = table
        self._names = [field.name for field in fields(kind)]  # pyright: ignore[reportArgumentType]
        self._adapter: TypeAdapter[Aggregate] = _adapter(kind)
        self._missing = missing

    async def insert(self, aggregate: Aggregate) -> None:
        await self._connection.execute(insert(self._table).values(self.to_row(aggregate)))

    async def one(self, key: str, *, lock: bool = False) -> Aggregate:
        found = await self.first(self._select().where(self._table.c.id == key), lock=lock)
        if found is None:
            noun = self._table.name.removesuffix("s").replace("_", " ")
            raise self._missing(f"no {noun} {key}")
        return found

    async def first(self, query: Select[Any], *, lock: bool = False) -> Aggregate | None:
        if lock:
            query = query.with_for_update()
        row = (await self._connection.execute(query.limit(1))).mappings().first()
        return None if row is None else self.from_row(row)

    async def all(self, query: Select[Any]) -> Sequence[Aggregate]:
        rows = (await self._connection.execute(query)).mappings()
        return [self.from_row(row) for row in rows]

    async def save(self, aggregate: Aggregate, *where: ColumnElement[bool]) -> int:
        """Writes the whole row; returns how many rows there were, 0 or 1."""
        row = self.to_row(aggregate)
        conditions = where or (self._table.c.id == row["id"],)
        done = await self._connection.execute(update(self._table).where(*conditions).values(row))
        return done.rowcount

    def _select(self) -> Select[Any]:
        return select(self._table)

    def where(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        return self._select().where(*conditions)

    def to_row(self, aggregate: Aggregate) -> dict[str, Any]:
        plain = self._adapter.dump_python(aggregate, mode="json")
        return {
            name: getattr(aggregate, name) if _is_time(getattr(aggregate, name)) else plain[name]
            for name in self._names
        }

    def from_row(self, row: Mapping[Any, Any]) -> Aggregate:
        return self._adapter.validate_python({name: row[name] for name in self._names})


def _is_time(value: object) -> bool:
    return hasattr(value, "tzinfo")


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def _adapter(kind: type[Aggregate]) -> TypeAdapter[Aggregate]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
