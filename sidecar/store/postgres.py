"""The ledger on PostgreSQL: SQLAlchemy Core over psycopg, one connection a transaction.

Every foreign error that means "the database is away" leaves here as StoreUnavailable, which callers repeat.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import URL, delete, func, or_, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from sidecar.domain.errors import DiskFull, StoreUnavailable
from sidecar.store.events import PostgresEvents
from sidecar.store.people import (
    PostgresAgents,
    PostgresAudit,
    PostgresGrants,
    PostgresItems,
    PostgresRequests,
)
from sidecar.store.previews import (
    PostgresEffects,
    PostgresEvidence,
    PostgresMerges,
    PostgresOperations,
    PostgresPreviews,
)
from sidecar.store.sessions import PostgresActivations, PostgresSessions
from sidecar.store.snapshots import PostgresSnapshots
from sidecar.store.tables import loops
from sidecar.store.wakes import PostgresWakes

CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 10.0
STATEMENT_TIMEOUT = (
    "-c statement_timeout=30000 -c lock_timeout=15000 -c idle_in_transaction_session_timeout=60000"
)
"""Milliseconds. A statement that runs longer holds locks that others wait for."""
DISK_FULL = "53100"
UNAVAILABLE = ("08", "57P", "53")
"""SQLSTATE classes: connection exceptions, operator intervention, insufficient resources."""


@dataclass(frozen=True, slots=True)
class PostgresTransaction:
    sessions: PostgresSessions
    activations: PostgresActivations
    wakes: PostgresWakes
    events: PostgresEvents
    agents: PostgresAgents
    grants: PostgresGrants
    previews: PostgresPreviews
    operations: PostgresOperations
    evidence: PostgresEvidence
    merges: PostgresMerges
    effects: PostgresEffects
    snapshots: PostgresSnapshots
    requests: PostgresRequests
    items: PostgresItems
    audit: PostgresAudit

    @classmethod
    def on(cls, connection: AsyncConnection) -> "PostgresTransaction":
        return cls(
            sessions=PostgresSessions(connection),
            activations=PostgresActivations(connection),
            wakes=PostgresWakes(connection),
            events=PostgresEvents(connection),
            agents=PostgresAgents(connection),
            grants=PostgresGrants(connection),
            previews=PostgresPreviews(connection),
            operations=PostgresOperations(connection),
            evidence=PostgresEvidence(connection),
            merges=PostgresMerges(connection),
            effects=PostgresEffects(connection),
            snapshots=PostgresSnapshots(connection),
            requests=PostgresRequests(connection),
            items=PostgresItems(connection),
            audit=PostgresAudit(connection),
        )


class PostgresStore:
    """`url` is SQLAlchemy's, `postgresql+psycopg://…`. Migrate before first use: `sidecar.store.migrations`."""

    def __init__(self, url: str | URL, *, pool_size: int = 10) -> None:
        self._engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            json_serializer=_to_json,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "options": STATEMENT_TIMEOUT,
            },
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[PostgresTransaction]:
        with _translated():
            async with self._engine.begin() as connection:
                yield PostgresTransaction.on(connection)

    async def take_loop(self, name: str, holder: str, ttl: timedelta) -> bool:
        until = func.clock_timestamp() + ttl
        statement = insert(loops).values(name=name, holder=holder, expires_at=until)
        statement = statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": holder, "expires_at": until},
            where=or_(loops.c.holder == holder, loops.c.expires_at < func.clock_timestamp()),
        ).returning(loops.c.name)
        with _translated():
            async with self._engine.begin() as connection:
                return (await connection.execute(statement)).first() is not None

    async def release_loop(self, name: str, holder: str) -> None:
        with _translated():
            async with self._engine.begin() as connection:
                await connection.execute(
                    delete(loops).where(loops.c.name == name, loops.c.holder == holder)
                )

    async def ping(self) -> None:
        with _translated():
            async with (
                asyncio.timeout(CONNECT_TIMEOUT_SECONDS),
                self._engine.connect() as connection,
            ):
                await connection.execute(text("SELECT 1"))

    async def aclose(self) -> None:
        await self._engine.dispose()


NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""An escaped NUL that is not itself the tail of an escaped backslash."""


def _to_json(value: Any) -> str:
    """PostgreSQL stores neither NUL nor half a surrogate pair in JSONB, and agents may print anything."""
    written = json.dumps(value, ensure_ascii=False)
    return NUL.sub(r"\1\\ufffd", written).encode("utf-8", "replace").decode()


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        if state == DISK_FULL:
            raise DiskFull("the database's disk is full; free some space") from error
        if (
            error.connection_invalidated
            or isinstance(error, OperationalError)
            or state.startswith(UNAVAILABLE)
        ):
            raise StoreUnavailable(f"the database does not answer: {error.orig}") from error
        raise
    except (PoolTimeout, TimeoutError, ConnectionError) as error:
        raise StoreUnavailable("the database does not answer in time") from error
