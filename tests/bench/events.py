"""Events per second from many simulated sidecars until they are committed rows, beside a bare COPY."""

import asyncio
import os
import time
from datetime import UTC, datetime

import psycopg

from infra.local.components import nats, postgres
from infra.local.stack import Stack as LocalStack
from infra.local.stack import running
from infra.local.state import StateDir
from sidecar.bus.nats import NatsBus, login_of_file
from sidecar.domain.agent import AgentKind
from sidecar.domain.ids import AgentSlug, SessionId, new_id
from sidecar.domain.session import Session, SessionStatus, TriggeredBy
from sidecar.store.postgres import PostgresStore
from sidecar.wire.envelope import Envelope, encode, message_id
from tests.bench.figure import Figure, Limit
from tests.bench.stack import Stack

SESSIONS, BATCHES, BATCH = 20, 50, 20
TOTAL = SESSIONS * BATCHES * BATCH


def measure(stack: Stack) -> list[Figure]:
    local = running(StateDir(root=stack.state_dir))
    assert local is not None
    os.environ |= postgres.password_file(local)
    stored = [asyncio.run(_round(local)) for _ in range(3)]
    return [
        Figure(
            "events published → committed rows",
            stored,
            "events/s",
            limit=Limit("COPY", _copy(local)),
            target=5000,
        )
    ]


async def _round(local: LocalStack) -> float:
    store = PostgresStore(_url(local))
    bus = NatsBus(lambda: login_of_file(local.urls["nats"], nats.relay_creds(local)))
    ids = [await _session(store) for _ in range(SESSIONS)]
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for session_id in ids:
            group.create_task(_publish(bus, session_id))
    while await _count(store, ids) < TOTAL:
        await asyncio.sleep(0.02)
    took = time.monotonic() - began
    await bus.aclose()
    await store.aclose()
    return TOTAL / took


async def _session(store: PostgresStore) -> SessionId:
    """Parked, so that nobody activates it."""
    session_id = SessionId(new_id())
    async with store.transaction() as tx:
        await tx.sessions.insert(
            Session(
                id=session_id,
                workspace="bench",
                agent=AgentSlug("bench-child"),
                kind=AgentKind.WORKER,
                runtime="scripted",
                root_session_id=session_id,
                triggered_by=TriggeredBy.USER,
                created_at=datetime.now(UTC),
                status=SessionStatus.PARKED,
            )
        )
    return session_id


async def _publish(bus: NatsBus, session_id: SessionId) -> None:
    number = 0
    for _ in range(BATCHES):
        envelopes = []
        for _ in range(BATCH):
            number += 1
            envelopes.append(
                Envelope(
                    id=new_id(),
                    session_id=session_id,
                    generation=0,
                    source="sidecar",
                    source_sequence=number,
                    timestamp=datetime.now(UTC),
                    type="agent.text",
                    payload={"text": "x" * 200},
                )
            )
        await bus.publish_events(session_id, encode(envelopes), message_id(envelopes))


async def _count(store: PostgresStore, ids: list[SessionId]) -> int:
    async with store.transaction() as tx:
        return sum([(await tx.sessions.get(each)).last_sequence for each in ids])


def _url(local: LocalStack) -> str:
    return postgres.url(local, "psycopg", "x1")


def _copy(local: LocalStack) -> float:
    url = _url(local).replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TEMP TABLE bench (LIKE session_events)")
        began = time.monotonic()
        with connection.cursor().copy("COPY bench FROM STDIN") as copy:
            row = f's\t%d\ti\t0\tsidecar\t%d\tnow\tagent.text\t{{"text": "{"x" * 200}"}}\n'
            for number in range(TOTAL):
                copy.write(row % (number, number))
        return TOTAL / (time.monotonic() - began)
