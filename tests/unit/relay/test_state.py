"""A session's saved state over HTTP: whose it is, who may move it, how big it gets, when it goes."""

import hashlib
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from sidecar.domain.session import SessionStatus
from sidecar.relay import ending, leasing
from sidecar.relay.app import create_app
from sidecar.relay.loops import collector
from sidecar.wire.claim import EndRequest, ReleaseRequest

CONTENT = b"an archive" * 30_000


class Sidecar:
    """What one activation may ask for its session's state."""

    def __init__(self, http, held):
        self.http, self.held = http, held
        self.url = f"/internal/sessions/{held.session_id}/state"
        token = held.bundle.token.get_secret_value()
        self.headers = {"authorization": f"Bearer {token}"}

    async def store(self, content=CONTENT, **more):
        body = more.pop("body", None) or pieces(content)
        headers = self.headers | more
        return await self.http.put(f"{self.url}/content", content=body, headers=headers)

    async def keep(self, digest, **fields):
        body = {"holder": self.held.holder, "digest": digest, "turn": 1, "kind": "turn"}
        return await self.http.put(self.url, json=body | fields, headers=self.headers)

    async def save(self, content=CONTENT, **fields):
        stored = await self.store(content)
        assert stored.status_code == 201, stored.text
        kept = await self.keep(stored.json()["digest"], **fields)
        assert kept.status_code == 200, kept.text

    async def state(self):
        return await self.http.get(self.url, headers=self.headers)

    async def content(self):
        return await self.http.get(f"{self.url}/content", headers=self.headers)


async def pieces(content):
    for at in range(0, len(content), 50_000):
        yield content[at : at + 50_000]


@pytest.fixture
async def http(desk):
    @asynccontextmanager
    async def build():
        yield desk.services

    app = create_app(build)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://relay") as client,
    ):
        yield client


@pytest.fixture
async def boss(desk, http):
    return Sidecar(http, await desk.start())


def digest_of(content):
    return hashlib.sha256(content).hexdigest()


async def test_a_new_session_has_no_state_and_knows_its_cap(desk, boss):
    assert (await boss.state()).json() == {
        "cap_bytes": desk.services.settings.state_cap_bytes,
        "snapshot": None,
    }
    assert (await boss.content()).status_code == 404


async def test_what_is_kept_is_found_again_with_its_notes(boss):
    await boss.save(turn=3, notes={"conversation": {"session_id": "s1"}})
    told = (await boss.state()).json()["snapshot"]
    assert (told["digest"], told["size"]) == (digest_of(CONTENT), len(CONTENT))
    assert (told["turn"], told["kind"], told["generation"]) == (3, "turn", 1)
    assert told["notes"] == {"conversation": {"session_id": "s1"}}
    assert (await boss.content()).content == CONTENT


async def test_the_last_state_is_the_state(boss):
    await boss.save(b"first")
    await boss.save(b"second", kind="park")
    assert (await boss.content()).content == b"second"


async def test_what_was_stored_and_not_kept_is_nobodys_state(boss):
    await boss.store()
    assert (await boss.state()).json()["snapshot"] is None


async def test_a_digest_under_which_nothing_is_stored_is_refused(boss):
    await boss.save(b"before")
    answer = await boss.keep(digest_of(b"corrupted on its way"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "artifact_unknown")
    assert (await boss.content()).content == b"before"
    assert (await boss.keep("no digest")).status_code == 422


async def test_a_replaced_activation_neither_reads_nor_moves_the_state(desk, http, boss):
    await boss.save(b"old")
    stale = (await boss.store(b"stale")).json()["digest"]
    session = await desk.session(boss.held.session_id)
    await desk.change(session.id, generation=session.generation + 1)
    for answer in (
        await boss.keep(stale),
        await boss.store(b"late"),
        await boss.state(),
        await boss.content(),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "lease_lost")
    async with desk.services.store.transaction() as tx:
        assert (await tx.snapshots.of_session(session.id)).digest == digest_of(b"old")


async def test_another_process_of_the_same_generation_does_not_move_it(boss):
    stored = (await boss.store()).json()["digest"]
    answer = await boss.keep(stored, holder="run/another-process")
    assert answer.json()["error"]["code"] == "lease_lost"


async def test_one_sessions_token_opens_no_other_sessions_state(desk, http, boss):
    child = await desk.spawn(boss.held)
    worker = Sidecar(http, await desk.activate(child))
    await worker.save()
    worker.headers = boss.headers
    for answer in (await worker.state(), await worker.content(), await worker.store()):
        assert answer.status_code == 403


async def test_more_than_the_cap_is_refused_in_words_whether_announced_or_not(desk, boss):
    desk.services.settings.__dict__["state_cap_bytes"] = 1000
    for answer in (await boss.store(body=b"x" * 1001), await boss.store(b"y" * 1001)):
        assert answer.status_code == 413
        assert "more than 1000 bytes" in answer.json()["error"]["message"]
    await boss.save(b"z" * 1000)


async def test_a_store_that_is_away_is_said_and_may_be_asked_again(desk, boss):
    desk.services.artifacts.is_away = True
    for answer in (await boss.store(), await boss.keep(digest_of(CONTENT))):
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            503,
            "artifacts_unavailable",
        )
    desk.services.artifacts.is_away = False
    await boss.save()


async def test_damaged_content_is_recognised_by_its_digest(desk, boss):
    await boss.save()
    desk.services.artifacts.damage(digest_of(CONTENT))
    answer = await boss.content()
    assert answer.status_code == 200
    assert digest_of(answer.content) != digest_of(CONTENT)


async def test_the_next_activation_finds_what_the_last_one_kept(desk, http, boss):
    await boss.save(b"state", turn=1)
    stop = ReleaseRequest(holder=boss.held.holder, how="stop")
    await leasing.release(desk.services, boss.held.claims, stop)
    desk.clock.pass_(60)
    again = Sidecar(http, await desk.activate(boss.held.session_id))
    assert (await again.content()).content == b"state"
    assert (await boss.state()).json()["error"]["code"] == "lease_lost"


async def test_state_is_collected_some_days_after_its_sessions_end(desk, boss):
    await boss.save()
    ended = EndRequest(holder=boss.held.holder, summary="done")
    await ending.end(desk.services, boss.held.claims, ended)
    desk.clock.pass_(timedelta(days=6.9).total_seconds())
    await collector.collect(desk.services)
    assert len(await desk.services.artifacts.list_all()) == 1
    desk.clock.pass_(timedelta(days=0.2).total_seconds())
    await collector.collect(desk.services)
    assert list(await desk.services.artifacts.list_all()) == []
    async with desk.services.store.transaction() as tx:
        assert await tx.snapshots.of_session(boss.held.session_id) is None


async def test_content_that_nobody_points_at_is_collected_after_a_grace(desk, boss):
    await boss.save(b"first")
    await boss.save(b"second")
    await boss.store(b"never kept")
    await collector.collect(desk.services)
    assert len(await desk.services.artifacts.list_all()) == 3
    desk.clock.pass_(3601)
    await collector.collect(desk.services)
    assert [each.digest for each in await desk.services.artifacts.list_all()] == [
        digest_of(b"second")
    ]


async def test_a_parked_sessions_state_stays_as_long_as_the_session(desk, boss):
    await boss.save()
    await desk.change(boss.held.session_id, status=SessionStatus.PARKED, lease_holder=None)
    desk.clock.pass_(timedelta(days=400).total_seconds())
    await collector.collect(desk.services)
    assert len(await desk.services.artifacts.list_all()) == 1
