"""Previews, their operations, evidence and merges in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from sidecar.domain.errors import EvidenceUnknown, PreviewUnknown
from sidecar.domain.ids import (
    EvidenceId,
    FlowRunId,
    OperationId,
    PreviewId,
    Repository,
    Revision,
    SessionId,
)
from sidecar.domain.merge import Merge
from sidecar.domain.preview import Evidence, Operation, Preview
from sidecar.store.port import MOST_EVIDENCE
from sidecar.store.rows import Rows
from sidecar.store.tables import (
    effects,
    evidence,
    merges,
    operations,
    preview_logs,
    preview_names,
    previews,
)

SOURCES = ("build", "app")


class PostgresPreviews:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._rows = Rows(connection, previews, Preview, PreviewUnknown)

    async def insert(self, preview: Preview) -> None:
        await self._rows.insert(preview)

    async def get(self, preview_id: PreviewId) -> Preview:
        return await self._rows.one(preview_id)

    async def lock(self, preview_id: PreviewId) -> Preview:
        return await self._rows.one(preview_id, lock=True)

    async def save(self, preview: Preview) -> None:
        await self._rows.save(preview)

    async def of_branch(self, workspace: str, repo: Repository, branch: str) -> Preview | None:
        return await self._rows.first(
            self._rows.where(
                previews.c.workspace == workspace,
                previews.c.repo == repo,
                previews.c.branch == branch,
            ),
            lock=True,
        )

    async def find(self, *, root: SessionId | None = None, limit: int = 200) -> Sequence[Preview]:
        query = self._rows.where()
        if root is not None:
            query = query.where(previews.c.root_session_id == root)
        return await self._rows.all(query.order_by(previews.c.id.desc()).limit(limit))

    async def live(self, *, limit: int, expired_by: datetime | None = None) -> Sequence[Preview]:
        query = self._rows.where(previews.c.status.not_in(["released", "expired"]))
        if expired_by is not None:
            query = query.where(previews.c.expires_at <= expired_by)
        return await self._rows.all(query.order_by(previews.c.id).limit(limit))

    async def take_name(self, url: str, preview_id: PreviewId) -> PreviewId:
        taken = upsert(preview_names).values(url=url, preview_id=preview_id)
        await self._connection.execute(taken.on_conflict_do_nothing())
        holder = select(preview_names.c.preview_id).where(preview_names.c.url == url)
        return PreviewId((await self._connection.execute(holder)).scalar_one())

    async def append_log(self, preview_id: PreviewId, source: str, lines: Sequence[str]) -> None:
        if lines:
            rows = [
                {"preview_id": preview_id, "source": source, "line": line.replace("\0", "\ufffd")}
                for line in lines
            ]
            await self._connection.execute(insert(preview_logs), rows)

    async def log(self, preview_id: PreviewId, source: str, *, tail: int) -> Sequence[str]:
        query = (
            select(preview_logs.c.line)
            .where(preview_logs.c.preview_id == preview_id, preview_logs.c.source == source)
            .order_by(preview_logs.c.number.desc())
            .limit(tail)
        )
        newest_first = list((await self._connection.execute(query)).scalars())
        return newest_first[::-1]

    async def trim_log(self, preview_id: PreviewId, *, keep: int) -> None:
        for source in SOURCES:
            mine = (preview_logs.c.preview_id == preview_id, preview_logs.c.source == source)
            newest = select(preview_logs.c.number).where(*mine)
            last_to_go = newest.order_by(preview_logs.c.number.desc()).offset(keep).limit(1)
            older = preview_logs.c.number <= last_to_go.scalar_subquery()
            await self._connection.execute(delete(preview_logs).where(*mine, older))

    async def drop_logs(self, released_before: datetime) -> int:
        gone = select(previews.c.id).where(
            previews.c.status.in_(["released", "expired"]),
            previews.c.released_at < released_before,
        )
        dropped = delete(preview_logs).where(preview_logs.c.preview_id.in_(gone))
        return (await self._connection.execute(dropped)).rowcount


class PostgresOperations:
    def __init__(self, connection: AsyncConnection) -> None:
        self._rows = Rows(connection, operations, Operation, PreviewUnknown)

    async def insert(self, operation: Operation) -> None:
        await self._rows.insert(operation)

    async def get(self, operation_id: OperationId) -> Operation:
        return await self._rows.one(operation_id)

    async def lock(self, operation_id: OperationId) -> Operation:
        return await self._rows.one(operation_id, lock=True)

    async def save(self, operation: Operation) -> None:
        await self._rows.save(operation)

    async def list_of(self, preview_id: PreviewId) -> Sequence[Operation]:
        return await self._rows.all(
            self._rows.where(operations.c.preview_id == preview_id).order_by(operations.c.id.desc())
        )

    async def of_flow_run(self, flow_run_id: FlowRunId) -> Operation | None:
        return await self._rows.first(self._rows.where(operations.c.flow_run_id == flow_run_id))

    async def all_open(self) -> Sequence[Operation]:
        return await self._rows.all(
            self._rows.where(operations.c.state.not_in(["succeeded", "failed"])).order_by(
                operations.c.id
            )
        )

    async def fading(self, now: datetime) -> Sequence[Operation]:
        return await self._rows.all(
            self._rows.where(
                operations.c.state.in_(["succeeded", "failed"]),
                operations.c.lease_expires_at > now,
            )
        )


class PostgresEvidence:
    def __init__(self, connection: AsyncConnection) -> None:
        self._rows = Rows(connection, evidence, Evidence, EvidenceUnknown)

    async def insert(self, record: Evidence) -> None:
        await self._rows.insert(record)

    async def get(self, evidence_id: EvidenceId) -> Evidence:
        return await self._rows.one(evidence_id)

    async def list_of(self, repo: Repository, revision: Revision) -> Sequence[Evidence]:
        return await self._rows.all(
            self._rows.where(evidence.c.repo == repo, evidence.c.revision == revision).order_by(
                evidence.c.id
            )
        )

    async def passed_of(self, preview_id: PreviewId) -> Sequence[Evidence]:
        return await self._rows.all(
            self._rows.where(evidence.c.preview_id == preview_id, evidence.c.passed)
            .order_by(evidence.c.id.desc())
            .limit(MOST_EVIDENCE)
        )


class PostgresMerges:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._rows = Rows(connection, merges, Merge)

    async def reserve(self, merge: Merge) -> Merge:
        await self._connection.execute(
            upsert(merges).values(self._rows.to_row(merge)).on_conflict_do_nothing()
        )
        stored = await self._rows.first(self._rows.where(*_same(merge)), lock=True)
        return stored or merge

    async def save(self, merge: Merge) -> None:
        await self._rows.save(merge, *_same(merge))

    async def list_all(self, state: str | None = None) -> Sequence[Merge]:
        query = self._rows.where() if state is None else self._rows.where(merges.c.state == state)
        return await self._rows.all(query.order_by(merges.c.created_at))


def _same(merge: Merge) -> tuple[Any, ...]:
    return (
        merges.c.repo == merge.repo,
        merges.c.base == merge.base,
        merges.c.expected_sha == merge.expected_sha,
    )


class PostgresEffects:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, session_id: SessionId, key: str) -> dict[str, Any] | None:
        twin = func.hashtextextended(f"{session_id} {key}", 0)
        await self._connection.execute(select(func.pg_advisory_xact_lock(twin)))
        query = select(effects.c.answer).where(
            effects.c.session_id == session_id, effects.c.key == key
        )
        return (await self._connection.execute(query)).scalar_one_or_none()

    async def put(self, session_id: SessionId, key: str, answer: dict[str, Any]) -> None:
        await self._connection.execute(
            insert(effects).values(session_id=session_id, key=key, answer=answer)
        )
