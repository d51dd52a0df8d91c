"""The ledger as its users see it: one transaction, one small port an aggregate.

    async with store.transaction() as tx:
        session = await tx.sessions.lock(session_id)
        await tx.sessions.save(replace(session, status=SessionStatus.PARKED))

Everything inside one `transaction()` commits together or not at all; leaving by an exception rolls
back. `lock` takes the row's lock until the transaction ends (SELECT … FOR UPDATE), `get` does not.
Lock order, to stay free of deadlocks: parent session before child, session before activation before wake,
preview before operation. Adapters translate lost connections into `StoreUnavailable`.
The aggregates' ports stand in one file, so that the lock order can be read where they are.
PostgreSQL (`sidecar.store.postgres`) and the double (`sidecar.store.memory`) pass the same contract tests.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from sidecar.domain.agent import Agent
from sidecar.domain.audit import AuditEntry
from sidecar.domain.event import Event, NewEvent
from sidecar.domain.grant import Grant
from sidecar.domain.ids import (
    ActivationId,
    AgentSlug,
    EvidenceId,
    FlowRunId,
    GrantId,
    OperationId,
    PreviewId,
    Repository,
    RequestId,
    Revision,
    SessionId,
    WakeId,
)
from sidecar.domain.merge import Merge
from sidecar.domain.preview import Evidence, Operation, Preview
from sidecar.domain.request import HumanRequest
from sidecar.domain.session import Activation, Session, SessionStatus
from sidecar.domain.snapshot import Snapshot
from sidecar.domain.wake import Wake

MOST_EVIDENCE: Final = 100


class Sessions(Protocol):
    async def insert(self, session: Session) -> None:
        """Raises LiveSessionExists when an orchestrator or scheduled agent has a live session already."""
        ...

    async def get(self, session_id: SessionId) -> Session:
        """Raises SessionUnknown."""
        ...

    async def lock(self, session_id: SessionId) -> Session:
        """Raises SessionUnknown."""
        ...

    async def save(self, session: Session) -> None:
        """Writes the whole row. Raises SessionEnded when the stored row is terminal: those never change."""
        ...

    async def live(self, workspace: str, agent: AgentSlug) -> Session | None:
        """The newest session of an agent that is not terminal."""
        ...

    async def children(self, parent: SessionId) -> Sequence[Session]: ...

    async def find(
        self,
        *,
        statuses: Sequence[SessionStatus] = (),
        agent: AgentSlug | None = None,
        root: SessionId | None = None,
        id_prefix: str | None = None,
        limit: int = 200,
    ) -> Sequence[Session]:
        """Newest first."""
        ...

    async def with_expired_lease(self, now: datetime) -> Sequence[Session]:
        """Running sessions whose lease has run out at `now`."""
        ...

    async def needing_activation(self, limit: int) -> Sequence[SessionId]:
        """Sessions, not terminal, with an unread wake or status pending/running, and no open activation."""
        ...

    async def watchdog_due(self, now: datetime) -> Sequence[Session]:
        """Live children whose `watchdog_due_at` has passed."""
        ...

    async def past_deadline(self, now: datetime) -> Sequence[Session]:
        """Live sessions older than their budget's `wall_minutes` (None: never)."""
        ...


class Activations(Protocol):
    async def insert(self, activation: Activation) -> None:
        """Raises ActivationOpen when the session has one that is not ended (a constraint)."""
        ...

    async def get(self, activation_id: ActivationId) -> Activation: ...

    async def lock(self, activation_id: ActivationId) -> Activation: ...

    async def save(self, activation: Activation) -> None: ...

    async def open_of(self, session_id: SessionId) -> Activation | None: ...

    async def all_open(self) -> Sequence[Activation]: ...

    async def of_flow_run(self, flow_run_id: FlowRunId) -> Activation | None: ...

    async def list_of(self, session_id: SessionId) -> Sequence[Activation]:
        """Oldest first."""
        ...

    async def newest(self, session_ids: Sequence[SessionId]) -> Mapping[SessionId, Activation]:
        """The newest of each session that has any."""
        ...


class Wakes(Protocol):
    async def insert(self, wake: Wake) -> Wake:
        """Stores and returns it; when (session, dedupe_key) exists, returns the stored one unchanged."""
        ...

    async def get(self, wake_id: WakeId) -> Wake:
        """Raises WakeUnknown."""
        ...

    async def lock(self, wake_id: WakeId) -> Wake: ...

    async def save(self, wake: Wake) -> None: ...

    async def undone(self, session_id: SessionId) -> Sequence[Wake]:
        """Accepted, delivered or read, oldest first."""
        ...

    async def list_of(self, session_id: SessionId, limit: int = 200) -> Sequence[Wake]:
        """Newest first."""
        ...


class Events(Protocol):
    async def append(self, session_id: SessionId, events: Sequence[NewEvent]) -> Sequence[Event]:
        """Numbers and stores what is new, under the session row's lock; repeats are left out of the answer.

        A repeat is the same (session, generation, source, source_sequence), or the same id. Also moves the
        session's `last_sequence` and `last_event_at`. Allowed on terminal sessions. Raises SessionUnknown.
        """
        ...

    async def append_many(self, events: Sequence[NewEvent]) -> Sequence[Event]:
        """The same over many sessions in few statements: the persister's path. Unknown sessions are dropped."""
        ...

    async def after(
        self,
        session_id: SessionId,
        sequence: int,
        *,
        limit: int = 500,
        types: Sequence[str] = (),
        newest_first: bool = False,
    ) -> Sequence[Event]: ...

    async def last_source_sequence(
        self, session_id: SessionId, generation: int, source: str
    ) -> int:
        """0 when there is none. The persister reports gaps with it."""
        ...


class Agents(Protocol):
    async def put(self, agent: Agent) -> None: ...

    async def get(self, slug: AgentSlug) -> Agent:
        """Raises AgentUnknown."""
        ...

    async def list_all(self) -> Sequence[Agent]: ...


class Grants(Protocol):
    async def insert(self, grant: Grant) -> None: ...

    async def of_agent(self, agent: AgentSlug) -> Sequence[Grant]:
        """Active ones only."""
        ...

    async def list_all(self) -> Sequence[Grant]: ...

    async def consume(self, grant_id: GrantId, at: datetime) -> None:
        """Raises GrantMissing when it is no longer active."""
        ...

    async def revoke(self, grant_id: GrantId, at: datetime) -> None:
        """Raises GrantUnknown."""
        ...


class Previews(Protocol):
    async def insert(self, preview: Preview) -> None: ...

    async def get(self, preview_id: PreviewId) -> Preview:
        """Raises PreviewUnknown."""
        ...

    async def lock(self, preview_id: PreviewId) -> Preview: ...

    async def save(self, preview: Preview) -> None: ...

    async def of_branch(self, workspace: str, repo: Repository, branch: str) -> Preview | None:
        """The row of that identity, locked: released and expired rows are found too, and reused."""
        ...

    async def find(
        self, *, root: SessionId | None = None, limit: int = 200
    ) -> Sequence[Preview]: ...

    async def live(self, *, limit: int, expired_by: datetime | None = None) -> Sequence[Preview]:
        """Neither released nor expired, the oldest first; with `expired_by` those whose time is over by then."""
        ...

    async def take_name(self, url: str, preview_id: PreviewId) -> PreviewId:
        """Gives the address to this preview for good, unless one has it. Returns whose it is."""
        ...

    async def append_log(self, preview_id: PreviewId, source: str, lines: Sequence[str]) -> None:
        """`source` is `build` or `app`."""
        ...

    async def log(self, preview_id: PreviewId, source: str, *, tail: int) -> Sequence[str]: ...

    async def trim_log(self, preview_id: PreviewId, *, keep: int) -> None:
        """Of each source the last `keep` lines stay."""
        ...

    async def drop_logs(self, released_before: datetime) -> int:
        """Of previews that were let go before; returns how many lines."""
        ...


class Operations(Protocol):
    async def insert(self, operation: Operation) -> None: ...

    async def get(self, operation_id: OperationId) -> Operation:
        """Raises PreviewUnknown."""
        ...

    async def lock(self, operation_id: OperationId) -> Operation: ...

    async def save(self, operation: Operation) -> None: ...

    async def list_of(self, preview_id: PreviewId) -> Sequence[Operation]:
        """Newest first."""
        ...

    async def of_flow_run(self, flow_run_id: FlowRunId) -> Operation | None:
        """The one that it was asked for, as long as no other run was."""
        ...

    async def all_open(self) -> Sequence[Operation]:
        """Not final, oldest first."""
        ...

    async def fading(self, now: datetime) -> Sequence[Operation]:
        """Ended while their run was at work, and it may not know yet: its lease still lives."""
        ...


class EvidenceRecords(Protocol):
    async def insert(self, record: Evidence) -> None: ...

    async def get(self, evidence_id: EvidenceId) -> Evidence:
        """Raises EvidenceUnknown."""
        ...

    async def list_of(self, repo: Repository, revision: Revision) -> Sequence[Evidence]: ...

    async def passed_of(self, preview_id: PreviewId) -> Sequence[Evidence]:
        """What was passed by a preview, the newest first; MOST_EVIDENCE at most."""
        ...


class Merges(Protocol):
    async def reserve(self, merge: Merge) -> Merge:
        """Stores it, or returns, locked, the one that stands under (repo, base, expected_sha)."""
        ...

    async def save(self, merge: Merge) -> None: ...

    async def list_all(self, state: str | None = None) -> Sequence[Merge]: ...


class Effects(Protocol):
    """First answers of mutating calls, by (session, key): the same key gets the first answer again."""

    async def get(self, session_id: SessionId, key: str) -> dict[str, Any] | None:
        """Also takes the key's advisory lock until the transaction ends, so that twins run in turn."""
        ...

    async def put(self, session_id: SessionId, key: str, answer: dict[str, Any]) -> None: ...


class Snapshots(Protocol):
    async def put(self, snapshot: Snapshot) -> None:
        """In place of the session's last one."""
        ...

    async def of_session(self, session_id: SessionId) -> Snapshot | None: ...

    async def digests(self) -> Collection[str]:
        """Of all there are."""
        ...

    async def drop_ended(self, before: datetime) -> int:
        """Deletes those of sessions that ended before; returns how many."""
        ...


class Requests(Protocol):
    async def insert(self, request: HumanRequest) -> None: ...

    async def lock(self, request_id: RequestId) -> HumanRequest:
        """Raises RequestUnknown."""
        ...

    async def save(self, request: HumanRequest) -> None: ...

    async def open(self) -> Sequence[HumanRequest]: ...


class Items(Protocol):
    """Roadmap items claimed by session trees, so that two never work on one."""

    async def claim(
        self, workspace: str, item: str, holder: SessionId, until: datetime, now: datetime
    ) -> SessionId:
        """Returns the holder after the call: the caller when it was free, its own, or had run out."""
        ...

    async def release(self, workspace: str, item: str, holder: SessionId) -> bool: ...


class Audit(Protocol):
    async def record(self, entry: AuditEntry) -> None: ...

    async def latest(self, limit: int = 200) -> Sequence[AuditEntry]: ...


class Transaction(Protocol):
    @property
    def sessions(self) -> Sessions: ...

    @property
    def activations(self) -> Activations: ...

    @property
    def wakes(self) -> Wakes: ...

    @property
    def events(self) -> Events: ...

    @property
    def agents(self) -> Agents: ...

    @property
    def grants(self) -> Grants: ...

    @property
    def previews(self) -> Previews: ...

    @property
    def operations(self) -> Operations: ...

    @property
    def evidence(self) -> EvidenceRecords: ...

    @property
    def merges(self) -> Merges: ...

    @property
    def effects(self) -> Effects: ...

    @property
    def snapshots(self) -> Snapshots: ...

    @property
    def requests(self) -> Requests: ...

    @property
    def items(self) -> Items: ...

    @property
    def audit(self) -> Audit: ...


class Store(Protocol):
    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...

    async def take_loop(self, name: str, holder: str, ttl: timedelta) -> bool:
        """Takes or renews the named loop's lease, by the database's clock. False: another holds it."""
        ...

    async def release_loop(self, name: str, holder: str) -> None: ...

    async def ping(self) -> None:
        """Raises StoreUnavailable."""
        ...

    async def aclose(self) -> None: ...
