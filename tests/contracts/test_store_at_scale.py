"""What the ledger promises of big batches and of rivals that write at the same moment."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event as engine_event
from sqlalchemy.engine import Engine

from sidecar.domain.agent import AgentKind
from sidecar.domain.errors import ActivationOpen, LiveSessionExists
from sidecar.domain.event import NewEvent
from sidecar.domain.ids import ActivationId, AgentSlug, EnvelopeId, SessionId, new_id
from sidecar.domain.session import Activation, ActivationState, Session, SessionStatus, TriggeredBy
from sidecar.store.memory import MemoryStore
from sidecar.store.migrations import migrate
from sidecar.store.port import Store
from sidecar.store.postgres import PostgresStore

NOW = datetime.now(UTC).replace(microsecond=0)
MORE_THAN_POSTGRES_TAKES_AS_PARAMETERS = 70_000


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.real)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    url = request.getfixturevalue("postgres_url")
    await migrate(url)
    made = PostgresStore(url)
    yield made
    await made.aclose()


def session(kind: AgentKind = AgentKind.WORKER) -> Session:
    session_id = SessionId(new_id())
    return Session(
        id=session_id,
        workspace="default",
        agent=AgentSlug("boss"),
        kind=kind,
        runtime="scripted",
        root_session_id=session_id,
        triggered_by=TriggeredBy.USER,
        created_at=NOW,
    )


def event(session_id: SessionId, number: int) -> NewEvent:
    return NewEvent(
        id=EnvelopeId(new_id()),
        session_id=session_id,
        generation=1,
        source="sidecar",
        source_sequence=number,
        timestamp=NOW,
        type="agent.text",
        payload={"text": "hi"},
    )


async def stored(store: Store) -> Session:
    made = session()
    async with store.transaction() as tx:
        await tx.sessions.insert(made)
    return made


async def test_a_batch_of_any_size_is_stored_whole(store: Store):
    made = await stored(store)
    batch = [event(made.id, n + 1) for n in range(MORE_THAN_POSTGRES_TAKES_AS_PARAMETERS)]
    async with store.transaction() as tx:
        assert len(await tx.events.append_many(batch)) == len(batch)
    async with store.transaction() as tx:
        assert not await tx.events.append_many(batch)
        assert (await tx.sessions.get(made.id)).last_sequence == len(batch)


async def test_a_young_stream_beside_an_old_one_is_numbered_on_its_own(store: Store):
    old, young = await stored(store), await stored(store)
    async with store.transaction() as tx:
        await tx.events.append_many([event(old.id, n + 1) for n in range(50)])
        both = await tx.events.append_many(
            [event(young.id, 1), event(old.id, 50), event(old.id, 51)]
        )
    assert [(each.session_id, each.sequence) for each in both] == [(young.id, 1), (old.id, 51)]


@pytest.mark.real
async def test_a_batch_costs_as_many_statements_for_many_sessions_as_for_one(postgres_url: str):
    await migrate(postgres_url)
    store = PostgresStore(postgres_url)
    many = [await stored(store) for _ in range(20)]
    one = await _statements(store, [event(many[0].id, n + 1) for n in range(40)])
    all_of_them = await _statements(
        store, [event(each.id, n + 100) for each in many for n in (1, 2)]
    )
    assert all_of_them == one
    await store.aclose()


async def test_two_that_take_an_expired_lease_at_once_get_it_in_turn(store: Store):
    """The second sees the first one's generation, so that it can see that it came too late."""
    made = await stored(store)

    async def take(holder: str) -> int | None:
        async with store.transaction() as tx:
            row = await tx.sessions.lock(made.id)
            if row.lease_holder is not None:
                return None
            until = NOW + timedelta(seconds=20)
            taken = replace(
                row,
                status=SessionStatus.RUNNING,
                generation=row.generation + 1,
                lease_holder=holder,
                lease_expires_at=until,
            )
            await tx.sessions.save(taken)
            return taken.generation

    taken = await asyncio.gather(*(take(f"run-{n}/nonce") for n in range(4)))
    assert sorted(taken, key=str) == [1, None, None, None]


async def test_of_two_activations_asked_for_at_once_one_is_opened(store: Store):
    made = await stored(store)

    async def ask() -> bool:
        async with store.transaction() as tx:
            try:
                await tx.activations.insert(
                    Activation(
                        id=ActivationId(new_id()),
                        session_id=made.id,
                        state=ActivationState.REQUESTED,
                        requested_at=NOW,
                    )
                )
            except ActivationOpen:
                return False
            return True

    assert sorted(await asyncio.gather(*(ask() for _ in range(4)))) == [False, False, False, True]


async def test_of_two_starts_of_an_orchestrator_at_once_one_lives(store: Store):
    async def start() -> bool:
        async with store.transaction() as tx:
            try:
                await tx.sessions.insert(session(AgentKind.ORCHESTRATOR))
            except LiveSessionExists:
                return False
            return True

    assert sorted(await asyncio.gather(*(start() for _ in range(4)))) == [False, False, False, True]


async def _statements(store: PostgresStore, batch: list[NewEvent]) -> int:
    """How many statements storing `batch` takes; one that is sent row by row counts a row each."""
    sent: list[int] = []

    def count(_c: object, _k: object, _s: object, given: object, _x: object, many: bool) -> None:
        sent.append(len(given) if many and isinstance(given, (list, tuple)) else 1)

    engine_event.listen(Engine, "before_cursor_execute", count)
    try:
        async with store.transaction() as tx:
            assert len(await tx.events.append_many(batch)) == len(batch)
    finally:
        engine_event.remove(Engine, "before_cursor_execute", count)
    return sum(sent)
