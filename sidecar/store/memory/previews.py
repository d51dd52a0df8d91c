"""Previews, operations, evidence, merges and effects in memory."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

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
from sidecar.domain.preview import Evidence, Operation, Preview, PreviewStatus
from sidecar.store.memory.state import State
from sidecar.store.port import MOST_EVIDENCE

_FREE = (PreviewStatus.RELEASED, PreviewStatus.EXPIRED)


class MemoryPreviews:
    def __init__(self, state: State) -> None:
        self._held = state.previews
        self._logs = state.logs
        self._names = state.names

    async def insert(self, preview: Preview) -> None:
        self._held[preview.id] = preview

    async def get(self, preview_id: PreviewId) -> Preview:
        if preview_id not in self._held:
            raise PreviewUnknown(f"no preview {preview_id}")
        return self._held[preview_id]

    async def lock(self, preview_id: PreviewId) -> Preview:
        return await self.get(preview_id)

    async def save(self, preview: Preview) -> None:
        self._held[preview.id] = preview

    async def of_branch(self, workspace: str, repo: Repository, branch: str) -> Preview | None:
        for each in self._held.values():
            if (each.workspace, each.repo, each.branch) == (workspace, repo, branch):
                return each
        return None

    async def find(self, *, root: SessionId | None = None, limit: int = 200) -> Sequence[Preview]:
        fitting = [each for each in self._held.values() if root in (None, each.root_session_id)]
        return sorted(fitting, key=lambda each: each.id, reverse=True)[:limit]

    async def live(self, *, limit: int, expired_by: datetime | None = None) -> Sequence[Preview]:
        found = [each for each in self._held.values() if each.status not in _FREE]
        if expired_by is not None:
            found = [each for each in found if each.expires_at and each.expires_at <= expired_by]
        return sorted(found, key=lambda each: each.id)[:limit]

    async def take_name(self, url: str, preview_id: PreviewId) -> PreviewId:
        return PreviewId(self._names.setdefault(url, preview_id))

    async def append_log(self, preview_id: PreviewId, source: str, lines: Sequence[str]) -> None:
        self._logs[preview_id, source] = (*self._logs.get((preview_id, source), ()), *lines)

    async def log(self, preview_id: PreviewId, source: str, *, tail: int) -> Sequence[str]:
        return self._logs.get((preview_id, source), ())[-tail:]

    async def trim_log(self, preview_id: PreviewId, *, keep: int) -> None:
        for (owner, source), lines in list(self._logs.items()):
            if owner == preview_id:
                self._logs[owner, source] = lines[-keep:]

    async def drop_logs(self, released_before: datetime) -> int:
        gone = {each.id for each in self._held.values() if _was_let_go(each, released_before)}
        dropped = {key: len(lines) for key, lines in self._logs.items() if key[0] in gone}
        for key in dropped:
            del self._logs[key]
        return sum(dropped.values())


def _was_let_go(preview: Preview, before: datetime) -> bool:
    at = preview.released_at
    return preview.status in _FREE and at is not None and at < before


class MemoryOperations:
    def __init__(self, state: State) -> None:
        self._held = state.operations

    async def insert(self, operation: Operation) -> None:
        self._held[operation.id] = operation

    async def get(self, operation_id: OperationId) -> Operation:
        if operation_id not in self._held:
            raise PreviewUnknown(f"no operation {operation_id}")
        return self._held[operation_id]

    async def lock(self, operation_id: OperationId) -> Operation:
        return await self.get(operation_id)

    async def save(self, operation: Operation) -> None:
        self._held[operation.id] = operation

    async def list_of(self, preview_id: PreviewId) -> Sequence[Operation]:
        mine = [each for each in self._held.values() if each.preview_id == preview_id]
        return sorted(mine, key=lambda each: each.id, reverse=True)

    async def of_flow_run(self, flow_run_id: FlowRunId) -> Operation | None:
        found = (each for each in self._held.values() if each.flow_run_id == flow_run_id)
        return next(found, None)

    async def all_open(self) -> Sequence[Operation]:
        opened = [each for each in self._held.values() if not each.state.is_final]
        return sorted(opened, key=lambda each: each.id)

    async def fading(self, now: datetime) -> Sequence[Operation]:
        ended = [each for each in self._held.values() if each.state.is_final]
        return [each for each in ended if each.lease_expires_at and each.lease_expires_at > now]


class MemoryEvidence:
    def __init__(self, state: State) -> None:
        self._held = state.evidence

    async def insert(self, record: Evidence) -> None:
        self._held[record.id] = record

    async def get(self, evidence_id: EvidenceId) -> Evidence:
        if evidence_id not in self._held:
            raise EvidenceUnknown(f"no evidence {evidence_id}")
        return self._held[evidence_id]

    async def list_of(self, repo: Repository, revision: Revision) -> Sequence[Evidence]:
        fitting = [e for e in self._held.values() if (e.repo, e.revision) == (repo, revision)]
        return sorted(fitting, key=lambda each: each.id)

    async def passed_of(self, preview_id: PreviewId) -> Sequence[Evidence]:
        fitting = [e for e in self._held.values() if e.preview_id == preview_id and e.passed]
        return sorted(fitting, key=lambda each: each.id, reverse=True)[:MOST_EVIDENCE]


class MemoryMerges:
    def __init__(self, state: State) -> None:
        self._held = state.merges

    async def reserve(self, merge: Merge) -> Merge:
        return self._held.setdefault((merge.repo, merge.base, merge.expected_sha), merge)

    async def save(self, merge: Merge) -> None:
        self._held[merge.repo, merge.base, merge.expected_sha] = merge

    async def list_all(self, state: str | None = None) -> Sequence[Merge]:
        fitting = [each for each in self._held.values() if state in (None, each.state.value)]
        return sorted(fitting, key=lambda each: each.created_at)


class MemoryEffects:
    def __init__(self, state: State) -> None:
        self._held = state.effects

    async def get(self, session_id: SessionId, key: str) -> dict[str, Any] | None:
        return self._held.get((session_id, key))

    async def put(self, session_id: SessionId, key: str, answer: dict[str, Any]) -> None:
        self._held[session_id, key] = answer
