"""What the ledger promises, of PostgreSQL and of its double alike.

One file, as the port is one: an aggregate's promises are read beside those that it shares a transaction with.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sidecar.domain.agent import Agent, AgentKind, Limits
from sidecar.domain.attachment import Attachment
from sidecar.domain.budget import Budget, ModelUsage
from sidecar.domain.errors import (
    ActivationOpen,
    GrantMissing,
    LiveSessionExists,
    SessionEnded,
    SessionUnknown,
    StoreUnavailable,
)
from sidecar.domain.event import NewEvent
from sidecar.domain.grant import Grant, GrantScope, GrantType
from sidecar.domain.ids import (
    ActivationId,
    AgentSlug,
    EnvelopeId,
    EvidenceId,
    FlowRunId,
    GrantId,
    OperationId,
    PreviewId,
    Repository,
    Revision,
    SessionId,
    WakeId,
    new_id,
)
from sidecar.domain.merge import Merge, MergeState
from sidecar.domain.preview import (
    Evidence,
    Operation,
    OperationKind,
    OperationState,
    Preview,
    PreviewStatus,
)
from sidecar.domain.session import (
    Activation,
    ActivationState,
    Session,
    SessionStatus,
    SpecReference,
    TriggeredBy,
)
from sidecar.domain.snapshot import Snapshot, SnapshotKind
from sidecar.domain.wake import Receipt, Wake, WakeKind
from sidecar.store.memory import MemoryStore
from sidecar.store.migrations import migrate
from sidecar.store.port import Store
from sidecar.store.postgres import PostgresStore

NOW = datetime.now(UTC).replace(microsecond=0)
REPO, SHA = Repository("acme/app"), Revision("a" * 40)


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


def session(**fields: Any) -> Session:
    session_id = SessionId(new_id())
    given = {
        "id": session_id,
        "workspace": "default",
        "agent": AgentSlug("boss"),
        "kind": AgentKind.WORKER,
        "runtime": "scripted",
        "root_session_id": session_id,
        "triggered_by": TriggeredBy.USER,
        "created_at": NOW,
    }
    return Session(**given | fields)


def wake(session_id: SessionId, **fields: Any) -> Wake:
    given = {"id": WakeId(new_id()), "kind": WakeKind.USER, "text": "hello", "created_at": NOW}
    return Wake(session_id=session_id, **given | fields)


def event(session_id: SessionId, number: int | None, **fields: Any) -> NewEvent:
    given = {"source": "sidecar", "generation": 1, "type": "agent.text", "payload": {"text": "hi"}}
    return NewEvent(
        id=EnvelopeId(fields.pop("id", new_id())),
        session_id=session_id,
        source_sequence=number,
        timestamp=NOW,
        **given | fields,
    )


async def stored(store: Store, **fields: Any) -> Session:
    made = session(**fields)
    async with store.transaction() as tx:
        await tx.sessions.insert(made)
    return made


async def test_a_session_comes_back_as_it_went_in(store: Store):
    made = session(
        spec=SpecReference(repo=REPO, path="sessions/a.md", commit=SHA),
        usage=(ModelUsage(model="m", input_tokens=3, usd=0.25),),
        budget=Budget(usd=1.5, turns=3),
        lease_expires_at=NOW,
        brief="brief",
    )
    async with store.transaction() as tx:
        await tx.sessions.insert(made)
    async with store.transaction() as tx:
        assert await tx.sessions.get(made.id) == made


async def test_what_a_failed_transaction_wrote_never_was(store: Store):
    made = session()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the transaction is the statement
        async with store.transaction() as tx:
            await tx.sessions.insert(made)
            _ = 1 / 0
    async with store.transaction() as tx:
        with pytest.raises(SessionUnknown):
            await tx.sessions.get(made.id)


async def test_an_orchestrator_lives_once_and_again_after_it_ended(store: Store):
    first = await stored(store, kind=AgentKind.ORCHESTRATOR)
    async with store.transaction() as tx:
        with pytest.raises(LiveSessionExists):
            await tx.sessions.insert(session(kind=AgentKind.ORCHESTRATOR))
        await tx.sessions.save(replace(first, status=SessionStatus.COMPLETE))
        await tx.sessions.insert(session(kind=AgentKind.ORCHESTRATOR))


async def test_workers_live_in_any_number(store: Store):
    await stored(store)
    await stored(store)


async def test_an_ended_session_never_changes_but_its_events_go_on(store: Store):
    made = await stored(store)
    async with store.transaction() as tx:
        await tx.sessions.save(replace(made, status=SessionStatus.FAILED))
    async with store.transaction() as tx:
        with pytest.raises(SessionEnded):
            await tx.sessions.save(replace(made, status=SessionStatus.RUNNING))
    async with store.transaction() as tx:
        appended = await tx.events.append(made.id, [event(made.id, 1)])
        assert [each.sequence for each in appended] == [1]


async def test_a_session_has_one_open_activation(store: Store):
    made = await stored(store)

    def activation() -> Activation:
        return Activation(
            id=ActivationId(new_id()),
            session_id=made.id,
            state=ActivationState.REQUESTED,
            requested_at=NOW,
        )

    first = activation()
    async with store.transaction() as tx:
        await tx.activations.insert(first)
        with pytest.raises(ActivationOpen):
            await tx.activations.insert(activation())
        await tx.activations.save(replace(first, state=ActivationState.ENDED))
        second = activation()
        await tx.activations.insert(second)
        assert len(await tx.activations.list_of(made.id)) == 2
        nobody = SessionId(new_id())
        assert await tx.activations.newest([made.id, nobody]) == {made.id: second}
        assert await tx.activations.newest([]) == {}


async def test_the_same_dedupe_key_is_the_same_wake(store: Store):
    made = await stored(store)
    async with store.transaction() as tx:
        first = await tx.wakes.insert(wake(made.id, dedupe_key="k", text="first"))
        again = await tx.wakes.insert(wake(made.id, dedupe_key="k", text="second"))
        other = await tx.wakes.insert(wake(made.id))
        assert again == first
        assert {each.id for each in await tx.wakes.undone(made.id)} == {first.id, other.id}


async def test_undone_wakes_are_oldest_first_and_end_when_done(store: Store):
    made = await stored(store)
    async with store.transaction() as tx:
        late = await tx.wakes.insert(wake(made.id, created_at=NOW + timedelta(seconds=1)))
        early = await tx.wakes.insert(wake(made.id))
        assert [each.id for each in await tx.wakes.undone(made.id)] == [early.id, late.id]
        await tx.wakes.save(replace(early, receipt=Receipt.DONE))
        assert [each.id for each in await tx.wakes.undone(made.id)] == [late.id]


async def test_events_are_numbered_densely_and_stored_once(store: Store):
    made = await stored(store)
    async with store.transaction() as tx:
        await tx.events.append(made.id, [event(made.id, 1), event(made.id, 2)])
    async with store.transaction() as tx:
        again = await tx.events.append_many(
            [event(made.id, 2), event(made.id, 3), event(made.id, 3)]
        )
        assert [each.sequence for each in again] == [3]
        own = event(made.id, None, source="relay")
        assert [e.sequence for e in await tx.events.append(made.id, [own, own])] == [4]
        read = await tx.events.after(made.id, 1)
        assert [each.sequence for each in read] == [2, 3, 4]
        assert await tx.events.last_source_sequence(made.id, 1, "sidecar") == 3
        assert (await tx.sessions.get(made.id)).last_sequence == 4


async def test_a_new_generation_counts_anew(store: Store):
    made = await stored(store)
    async with store.transaction() as tx:
        await tx.events.append(made.id, [event(made.id, 1)])
        again = await tx.events.append(made.id, [event(made.id, 1, generation=2)])
        assert [each.sequence for each in again] == [2]


async def test_saving_a_stale_session_does_not_turn_its_event_number_back(store: Store):
    made = await stored(store)
    async with store.transaction() as tx:
        await tx.events.append(made.id, [event(made.id, 1)])
        await tx.sessions.save(replace(made, turns=1))
        again = await tx.events.append(made.id, [event(made.id, 2)])
        assert [each.sequence for each in again] == [2]


async def test_text_that_agents_print_is_kept_whatever_it_is(store: Store):
    made = await stored(store)
    text = 'nul \0 bell \a quote " surrogate \ud800 ü 😀'
    async with store.transaction() as tx:
        await tx.events.append(made.id, [event(made.id, 1, payload={"text": text})])
        (read,) = await tx.events.after(made.id, 0)
        assert "😀" in read.payload["text"]


async def test_unknown_sessions_events_are_dropped_from_a_batch_and_refused_alone(store: Store):
    made, stranger = await stored(store), SessionId(new_id())
    async with store.transaction() as tx:
        kept = await tx.events.append_many([event(stranger, 1), event(made.id, 1)])
        assert [each.session_id for each in kept] == [made.id]
        with pytest.raises(SessionUnknown):
            await tx.events.append(stranger, [event(stranger, 1)])


async def test_two_transactions_number_one_sessions_events_in_turn(store: Store):
    made = await stored(store)

    async def append(start: int) -> None:
        async with store.transaction() as tx:
            await tx.events.append(made.id, [event(made.id, start + n) for n in range(20)])

    await asyncio.gather(*(append(1 + 20 * n) for n in range(5)))
    async with store.transaction() as tx:
        read = await tx.events.after(made.id, 0)
    assert [each.sequence for each in read] == list(range(1, 101))


async def test_a_session_that_needs_a_flow_run_is_found_and_one_that_has_it_is_not(store: Store):
    idle = await stored(store, status=SessionStatus.PARKED)
    asked = await stored(store, status=SessionStatus.PARKED)
    fresh = await stored(store)
    held = await stored(store)
    async with store.transaction() as tx:
        await tx.wakes.insert(wake(asked.id))
        await tx.activations.insert(
            Activation(
                id=ActivationId(new_id()),
                session_id=held.id,
                state=ActivationState.RUNNING,
                requested_at=NOW,
            )
        )
        found = await tx.sessions.needing_activation(10)
    assert set(found) == {asked.id, fresh.id}
    assert idle.id not in found


async def test_expired_leases_watchdogs_and_deadlines_are_found_by_time(store: Store):
    root = await stored(store)
    late = {"status": SessionStatus.RUNNING, "lease_expires_at": NOW - timedelta(seconds=1)}
    expired = await stored(store, **late)
    silent = await stored(store, parent_session_id=root.id, watchdog_due_at=NOW)
    old = await stored(store, budget=Budget(wall_minutes=5), created_at=NOW - timedelta(hours=1))
    await stored(store, budget=Budget(wall_minutes=500))
    async with store.transaction() as tx:
        assert [each.id for each in await tx.sessions.with_expired_lease(NOW)] == [expired.id]
        assert [each.id for each in await tx.sessions.watchdog_due(NOW)] == [silent.id]
        assert [each.id for each in await tx.sessions.past_deadline(NOW)] == [old.id]


async def test_sessions_are_found_by_status_agent_tree_and_abbreviated_id(store: Store):
    root = await stored(store, agent=AgentSlug("root"))
    child = await stored(store, root_session_id=root.id, parent_session_id=root.id)
    async with store.transaction() as tx:
        assert {e.id for e in await tx.sessions.find(root=root.id)} == {root.id, child.id}
        assert [e.id for e in await tx.sessions.find(agent=AgentSlug("root"))] == [root.id]
        assert [e.id for e in await tx.sessions.find(id_prefix=child.id[:-1])] == [child.id]
        assert await tx.sessions.find(statuses=[SessionStatus.FAILED]) == []
        assert await tx.sessions.find(id_prefix="%") == []
        assert [e.id for e in await tx.sessions.children(root.id)] == [child.id]


async def test_an_agent_comes_back_as_it_was_put_last(store: Store):
    agent = Agent(
        slug=AgentSlug("boss"),
        name="Boss",
        kind=AgentKind.ORCHESTRATOR,
        runtime="scripted",
        repos=(Attachment(repo=REPO, branch="main", mount_path="app"),),
        limits=Limits(children=2),
    )
    async with store.transaction() as tx:
        await tx.agents.put(replace(agent, name="Old"))
        await tx.agents.put(agent)
        assert await tx.agents.get(agent.slug) == agent
        assert await tx.agents.list_all() == [agent]


async def test_a_grant_for_once_is_consumed_once(store: Store):
    grant = Grant(
        id=GrantId(new_id()),
        agent=AgentSlug("boss"),
        type=GrantType.MERGE,
        target=REPO,
        scope=GrantScope.ONCE,
        granted_by="operator:me",
        created_at=NOW,
    )
    async with store.transaction() as tx:
        await tx.grants.insert(grant)
        await tx.grants.consume(grant.id, NOW)
        with pytest.raises(GrantMissing):
            await tx.grants.consume(grant.id, NOW)
        assert await tx.grants.of_agent(grant.agent) == []
        assert len(await tx.grants.list_all()) == 1


async def test_a_merge_is_reserved_once_per_base_and_commit(store: Store):
    merge = Merge(
        repo=REPO,
        head="feat/a",
        base="main",
        expected_sha=SHA,
        session_id=SessionId("s"),
        evidence_id=EvidenceId("e"),
        state=MergeState.RESERVED,
        created_at=NOW,
    )
    async with store.transaction() as tx:
        await tx.merges.reserve(merge)
        await tx.merges.save(replace(merge, state=MergeState.DONE, merge_sha=SHA))
        again = await tx.merges.reserve(replace(merge, session_id=SessionId("other")))
        assert (again.state, again.session_id) == (MergeState.DONE, "s")
        assert len(await tx.merges.list_all("done")) == 1


async def test_what_a_preview_passed_is_listed_the_newest_first(store: Store):
    def proof(preview: str, *, passed: bool) -> Evidence:
        return Evidence(
            id=EvidenceId(new_id()),
            preview_id=PreviewId(preview),
            session_id=SessionId("s"),
            repo=REPO,
            branch="main",
            revision=SHA,
            passed=passed,
            results=(),
            created_at=NOW,
        )

    first, failed, other, last = (
        proof("one", passed=True),
        proof("one", passed=False),
        proof("two", passed=True),
        proof("one", passed=True),
    )
    async with store.transaction() as tx:
        for each in (first, failed, other, last):
            await tx.evidence.insert(each)
        assert [each.id for each in await tx.evidence.passed_of(PreviewId("one"))] == [
            last.id,
            first.id,
        ]


def preview_of(owner: Session, **fields: Any) -> Preview:
    given = {
        "id": PreviewId(new_id()),
        "workspace": "default",
        "repo": REPO,
        "branch": "feat/a",
        "revision": SHA,
        "owner_session_id": owner.id,
        "root_session_id": owner.id,
        "status": PreviewStatus.REQUESTED,
        "url": f"http://{new_id()}.localhost",
        "alias_url": "http://b.localhost",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Preview(**given | fields)


async def test_a_preview_is_found_by_its_branch_and_its_tree_and_keeps_its_log(store: Store):
    made = preview_of(await stored(store))
    async with store.transaction() as tx:
        await tx.previews.insert(made)
        assert await tx.previews.of_branch("default", REPO, "feat/a") == made
        assert await tx.previews.of_branch("default", REPO, "feat/b") is None
        assert await tx.previews.find(root=made.root_session_id) == [made]
        await tx.previews.append_log(made.id, "build", ["one", "two\0", "three"])
        assert (await tx.previews.log(made.id, "build", tail=1))[0] == "three"
        assert await tx.previews.log(made.id, "app", tail=9) in ([], ())


async def test_an_address_is_given_once_and_for_good_even_to_twins(store: Store):
    owner = await stored(store)
    twins = [preview_of(owner, branch=branch) for branch in ("feat/a", "feat/b")]

    async def take(one: Preview) -> PreviewId:
        async with store.transaction() as tx:
            holder = await tx.previews.take_name("http://app-aaaaaaaa.localhost", one.id)
            await tx.previews.insert(one)  # its name may come before its row
            return holder

    first, second = await asyncio.gather(*map(take, twins))
    assert first == second
    async with store.transaction() as tx:
        for each in twins:
            assert await tx.previews.take_name("http://app-aaaaaaaa.localhost", each.id) == first


async def test_live_previews_are_found_oldest_first_however_many_were_let_go_since(store: Store):
    owner = await stored(store)
    old, young = (
        preview_of(owner, branch=branch, expires_at=NOW + timedelta(hours=hours))
        for branch, hours in (("old", 1), ("young", 2))
    )
    gone = [
        preview_of(owner, branch=f"gone/{status}", status=status, expires_at=NOW)
        for status in (PreviewStatus.RELEASED, PreviewStatus.EXPIRED)
    ]
    async with store.transaction() as tx:
        for each in (old, young, *gone):
            await tx.previews.insert(each)
        assert await tx.previews.live(limit=9) == [old, young]
        assert await tx.previews.live(limit=1) == [old]
        assert await tx.previews.live(limit=9, expired_by=NOW) == []
        assert await tx.previews.live(limit=9, expired_by=NOW + timedelta(hours=1)) == [old]


async def test_of_a_log_the_last_lines_stay_and_of_what_was_let_go_none(store: Store):
    owner = await stored(store)
    live = preview_of(owner)
    gone = preview_of(owner, branch="gone", status=PreviewStatus.RELEASED, released_at=NOW)
    async with store.transaction() as tx:
        for each in (live, gone):
            await tx.previews.insert(each)
            await tx.previews.append_log(each.id, "build", ["one", "two", "three"])
            await tx.previews.append_log(each.id, "app", ["hello"])
        await tx.previews.trim_log(live.id, keep=2)
        assert list(await tx.previews.log(live.id, "build", tail=9)) == ["two", "three"]
        assert list(await tx.previews.log(live.id, "app", tail=9)) == ["hello"]
        assert list(await tx.previews.log(gone.id, "build", tail=9)) == ["one", "two", "three"]
        assert await tx.previews.drop_logs(NOW) == 0
        assert await tx.previews.drop_logs(NOW + timedelta(seconds=1)) == 4
        assert list(await tx.previews.log(gone.id, "app", tail=9)) == []
        assert list(await tx.previews.log(live.id, "app", tail=9)) == ["hello"]


async def test_an_operation_fades_while_its_ended_run_holds_a_lease(store: Store):
    owner = await stored(store)
    made = preview_of(owner)
    ends = NOW + timedelta(seconds=20)

    def operation(state: OperationState, lease: datetime | None) -> Operation:
        return Operation(
            id=OperationId(new_id()),
            preview_id=made.id,
            session_id=owner.id,
            kind=OperationKind.DEPLOY,
            state=state,
            revision=SHA,
            created_at=NOW,
            lease_expires_at=lease,
        )

    fading = operation(OperationState.FAILED, ends)
    others = [operation(OperationState.FAILED, None), operation(OperationState.RUNNING, ends)]
    async with store.transaction() as tx:
        await tx.previews.insert(made)
        for each in (fading, *others):
            await tx.operations.insert(each)
        assert await tx.operations.fading(NOW) == [fading]
        assert await tx.operations.fading(ends) == []


async def test_an_operation_comes_back_as_it_went_in_and_is_found_by_its_flow_run(store: Store):
    owner = await stored(store)
    preview = preview_of(owner, branch="feat/o", url="http://o.localhost")
    run = FlowRunId("7f4d5c9e-0000-4000-8000-000000000001")
    made = Operation(
        id=OperationId(new_id()),
        preview_id=preview.id,
        session_id=owner.id,
        kind=OperationKind.VERIFY,
        state=OperationState.REQUESTED,
        revision=SHA,
        created_at=NOW,
        arguments={"checks": []},
        attempt=1,
        flow_run_id=run,
        queued_reason="queued: quota, position 1 of 1",
    )
    async with store.transaction() as tx:
        await tx.previews.insert(preview)
        await tx.operations.insert(made)
        assert made in await tx.operations.all_open()
        assert await tx.operations.of_flow_run(run) == made
        assert await tx.operations.of_flow_run(FlowRunId("another")) is None
        await tx.operations.save(replace(made, flow_run_id=None))
        assert await tx.operations.of_flow_run(run) is None


async def test_the_same_key_gets_the_first_answer_even_when_twins_run_at_once(store: Store):
    made = await stored(store)
    acted: list[int] = []

    async def act(number: int) -> dict[str, Any]:
        async with store.transaction() as tx:
            if (answer := await tx.effects.get(made.id, "key")) is not None:
                return answer
            acted.append(number)
            await tx.effects.put(made.id, "key", {"number": number})
            return {"number": number}

    answers = await asyncio.gather(*(act(number) for number in range(5)))
    assert len(acted) == 1
    assert all(answer == answers[0] for answer in answers)


def snapshot(of: Session, digest: str, **fields: Any) -> Snapshot:
    given = {"size": 7, "generation": 1, "turn": 1, "kind": SnapshotKind.TURN, "created_at": NOW}
    return Snapshot(session_id=of.id, digest=digest * 64, **given | fields)


async def test_a_session_has_one_snapshot_its_last(store: Store):
    made = await stored(store)
    async with store.transaction() as tx:
        assert await tx.snapshots.of_session(made.id) is None
        await tx.snapshots.put(snapshot(made, "a"))
    later = snapshot(made, "b", turn=2, kind=SnapshotKind.PARK, notes={"conversation": {"x": 1}})
    async with store.transaction() as tx:
        await tx.snapshots.put(later)
    async with store.transaction() as tx:
        assert await tx.snapshots.of_session(made.id) == later
        assert set(await tx.snapshots.digests()) == {"b" * 64}


async def test_snapshots_of_sessions_that_ended_long_ago_are_dropped(store: Store):
    live = await stored(store)
    ended = [
        await stored(store, status=SessionStatus.COMPLETE, ended_at=NOW - timedelta(days=days))
        for days in (1, 9)
    ]
    async with store.transaction() as tx:
        for each, digest in zip([live, *ended], "abc", strict=True):
            await tx.snapshots.put(snapshot(each, digest))
    async with store.transaction() as tx:
        assert await tx.snapshots.drop_ended(NOW - timedelta(days=7)) == 1
        assert set(await tx.snapshots.digests()) == {"a" * 64, "b" * 64}


async def test_an_item_has_one_holder_until_it_is_released_or_runs_out(store: Store):
    later, a, b = NOW + timedelta(hours=1), SessionId("a"), SessionId("b")
    async with store.transaction() as tx:
        assert await tx.items.claim("w", "R-1", a, later, NOW) == a
        assert await tx.items.claim("w", "R-1", b, later, NOW) == a
        assert not await tx.items.release("w", "R-1", b)
        assert await tx.items.claim("w", "R-1", b, later, later + timedelta(1)) == b
        assert await tx.items.release("w", "R-1", b)


async def test_a_loop_has_one_holder_who_may_renew(store: Store):
    ttl = timedelta(seconds=30)
    assert await store.take_loop("sweep", "one", ttl)
    assert not await store.take_loop("sweep", "two", ttl)
    assert await store.take_loop("sweep", "one", ttl)
    await store.release_loop("sweep", "one")
    assert await store.take_loop("sweep", "two", ttl)


async def test_a_wake_that_arrives_while_a_session_parks_is_seen_by_one_of_them(store: Store):
    """Both lock the session row, so either the wake sees it parked or the parking sees the wake."""
    made = await stored(store, status=SessionStatus.RUNNING)

    async def park() -> bool:
        async with store.transaction() as tx:
            row = await tx.sessions.lock(made.id)
            if await tx.wakes.undone(made.id):
                return False
            await tx.sessions.save(replace(row, status=SessionStatus.PARKED))
            return True

    async def arrive() -> bool:
        async with store.transaction() as tx:
            row = await tx.sessions.lock(made.id)
            await tx.wakes.insert(wake(made.id))
            return row.status is SessionStatus.PARKED

    parked, saw_it_parked = await asyncio.gather(park(), arrive())
    assert parked == saw_it_parked


@pytest.mark.real
async def test_two_relays_may_migrate_at_once(postgres_url: str):
    await asyncio.gather(migrate(postgres_url), migrate(postgres_url))
    await migrate(postgres_url)


@pytest.mark.real
async def test_a_relay_that_runs_goes_on_while_the_first_of_a_newer_version_migrates(
    postgres_url: str,
):
    await migrate(postgres_url, "0001")
    running, has_migrated, kept = PostgresStore(postgres_url), asyncio.Event(), list[Session]()

    async def works():
        while not (has_migrated.is_set() and len(kept) > 20):
            kept.append(await stored(running))

    async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
        tasks.create_task(works(), name="the relay that runs")
        await migrate(postgres_url)
        has_migrated.set()
    newer = PostgresStore(postgres_url)
    async with newer.transaction() as tx:
        assert [await tx.sessions.get(each.id) for each in kept] == kept
        assert await tx.snapshots.of_session(kept[0].id) is None
    await running.aclose()
    await newer.aclose()


@pytest.mark.real
async def test_a_killed_database_is_an_unavailable_store_until_it_is_back(
    postgres_url: str, postgres_server: tuple[Any, str]
):
    await migrate(postgres_url)
    store = PostgresStore(postgres_url)
    made = await stored(store)
    postgres_server[0].kill()
    with pytest.raises(StoreUnavailable):
        await store.ping()
    with pytest.raises(StoreUnavailable):
        async with store.transaction() as tx:
            await tx.sessions.get(made.id)
    postgres_server[0].start()
    async with store.transaction() as tx:
        assert await tx.sessions.get(made.id) == made
    await store.aclose()
