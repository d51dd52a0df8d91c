"""What the artifact store promises, of JetStream's object store and of its double alike."""

import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from sidecar.artifacts import jetstream
from sidecar.artifacts.jetstream import JetStreamArtifacts
from sidecar.artifacts.memory import MemoryArtifacts
from sidecar.bus.nats import NatsBus, login_of_file
from sidecar.domain.errors import (
    ArtifactCorrupt,
    ArtifactsFull,
    ArtifactsUnavailable,
    ArtifactTooLarge,
    ArtifactUnknown,
)

CAP = 1 << 24
BIG = bytes(range(256)) * 4096 + b"and a rest"
SOON = timedelta(minutes=5)


class OnServer:
    """The real thing, and what a disk may do to it."""

    def __init__(self, server, max_bytes=1 << 26):
        self.bus = NatsBus(lambda: login_of_file(server.url, server.keys / "relay.creds"))
        self.store = JetStreamArtifacts(self.bus.jetstream, max_bytes=max_bytes)

    async def damage(self, digest):
        bucket = await self.bus.jetstream()
        record = await jetstream._record_of(bucket, digest)
        last = await bucket.get_last_msg(jetstream._STREAM, record.chunks)
        await bucket.delete_msg(jetstream._STREAM, last.seq)

    async def messages(self):
        info = await (await self.bus.jetstream()).stream_info(jetstream._STREAM)
        return info.state.messages


class InMemory:
    def __init__(self):
        self.store = MemoryArtifacts()

    async def damage(self, digest):
        self.store.damage(digest)


@pytest.fixture(params=["memory", pytest.param("jetstream", marks=pytest.mark.real)])
async def place(request) -> AsyncIterator[InMemory | OnServer]:
    if request.param == "memory":
        yield InMemory()
        return
    made = OnServer(request.getfixturevalue("nats_server"))
    yield made
    await made.bus.aclose()


@pytest.fixture
def store(place):
    return place.store


async def pieces(content, size=70_000):
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def read(store, digest):
    async with aclosing(store.get(digest)) as chunks:
        return b"".join([each async for each in chunks])


@pytest.mark.parametrize("content", [BIG, b"", b"x", b"y" * jetstream.CHUNK_BYTES])
async def test_what_was_put_is_got_by_its_digest(store, content):
    put = await store.put(pieces(content), CAP)
    assert (put.digest, put.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert abs(put.stored_at - datetime.now(UTC)) < SOON
    assert await store.find(put.digest) == put
    assert await read(store, put.digest) == content


async def test_the_same_content_is_held_once_and_as_of_its_last_put(store):
    first = await store.put(pieces(BIG), CAP)
    second = await store.put(pieces(BIG, 999), CAP)
    assert first.digest == second.digest
    assert second.stored_at > first.stored_at
    assert list(await store.list_all()) == [second]
    assert await read(store, first.digest) == BIG
    assert await store.sweep(stored_before=datetime.now(UTC) + SOON) == 0


async def test_the_cap_itself_fits_and_one_byte_more_does_not(store):
    assert (await store.put(pieces(b"x" * 1000), 1000)).size == 1000
    with pytest.raises(ArtifactTooLarge, match="1000 bytes"):
        await store.put(pieces(b"y" * 1001, 100), 1000)
    assert len(await store.list_all()) == 1


async def test_a_stream_that_breaks_leaves_nothing(store):
    async def broken():
        yield BIG
        raise ValueError("the sender is gone")

    with pytest.raises(ValueError, match="gone"):
        await store.put(broken(), CAP)
    assert list(await store.list_all()) == []
    assert await store.sweep(stored_before=datetime.now(UTC) + SOON) == 0


async def test_what_is_not_there_is_unknown(store):
    nobody = hashlib.sha256(b"?").hexdigest()
    assert await store.find(nobody) is None
    assert list(await store.list_all()) == []
    assert not await store.delete(nobody, stored_before=datetime.now(UTC) + SOON)
    assert await store.sweep(stored_before=datetime.now(UTC)) == 0
    with pytest.raises(ArtifactUnknown):
        await read(store, nobody)


async def test_what_is_deleted_is_gone_and_the_others_stay(store):
    put, other = await store.put(pieces(BIG), CAP), await store.put(pieces(b"other"), CAP)
    assert await store.delete(put.digest, stored_before=datetime.now(UTC) + SOON)
    assert await store.find(put.digest) is None
    assert await read(store, other.digest) == b"other"


async def test_what_was_put_again_since_it_was_judged_is_not_deleted(store):
    put = await store.put(pieces(BIG), CAP)
    assert not await store.delete(put.digest, stored_before=put.stored_at)
    assert await read(store, put.digest) == BIG


async def test_damage_is_met_by_who_reads_to_the_end(place, store):
    put = await store.put(pieces(BIG), CAP)
    await place.damage(put.digest)
    with pytest.raises(ArtifactCorrupt):
        await read(store, put.digest)


async def test_a_reader_may_stop_in_the_middle(store):
    put = await store.put(pieces(BIG), CAP)
    async with aclosing(store.get(put.digest)) as chunks:
        assert BIG.startswith(await anext(chunks))
    assert await read(store, put.digest) == BIG


async def test_a_double_that_is_away_says_so():
    store = MemoryArtifacts()
    store.is_away = True
    with pytest.raises(ArtifactsUnavailable):
        await store.put(pieces(b"x"), CAP)


@pytest.mark.real
async def test_a_server_that_is_away_says_so(nats_server):
    place = OnServer(nats_server)
    put = await place.store.put(pieces(b"x"), CAP)
    nats_server.server.kill()
    with pytest.raises(ArtifactsUnavailable):
        await place.store.put(pieces(b"x"), CAP)
    with pytest.raises(ArtifactsUnavailable):
        await read(place.store, put.digest)
    await place.bus.aclose()


@pytest.mark.real
async def test_a_full_bucket_refuses_and_a_larger_one_takes_it(nats_server):
    small, large = OnServer(nats_server, max_bytes=1 << 20), OnServer(nats_server)
    with pytest.raises(ArtifactsFull):
        await small.store.put(pieces(BIG * 2), CAP)
    assert (await large.store.put(pieces(BIG * 2), CAP)).size == 2 * len(BIG)
    await small.bus.aclose()
    await large.bus.aclose()


@pytest.mark.real
async def test_a_bucket_larger_than_the_disk_says_which_setting_asks_for_it(nats_server):
    place = OnServer(nats_server, max_bytes=1 << 60)
    with pytest.raises(ArtifactsFull, match="X1_ARTIFACTS_MAX_BYTES"):
        await place.store.put(pieces(b"x"), CAP)
    await place.bus.aclose()


@pytest.mark.real
async def test_a_store_that_has_most_of_the_disk_is_found_again_by_who_begins_anew(nats_server):
    """The room that a server gives is three quarters of what is free; this is more than half of that."""
    most = int(shutil.disk_usage(nats_server.config.parent).free * 0.75 * 0.6)
    for content in (b"first", b"second"):
        here = OnServer(nats_server, max_bytes=most)
        kept = await here.store.put(pieces(content), CAP)
        assert await read(here.store, kept.digest) == content
        await here.bus.aclose()


@pytest.mark.real
async def test_what_a_killed_relay_left_half_put_is_swept(nats_server):
    place = OnServer(nats_server)
    put = await place.store.put(pieces(BIG), CAP)
    bucket, before = await place.bus.jetstream(), await place.messages()
    await bucket.publish(f"{jetstream._CHUNKS}killed", b"half")
    assert await place.store.sweep(stored_before=datetime.now(UTC) - SOON) == 0
    assert await place.store.sweep(stored_before=datetime.now(UTC) + SOON) == 1
    assert await place.messages() == before
    assert await read(place.store, put.digest) == BIG
    await place.bus.aclose()


@pytest.mark.real
async def test_the_client_librarys_own_object_store_reads_it(nats_server):
    place = OnServer(nats_server)
    put = await place.store.put(pieces(BIG), CAP)
    bucket = await (await place.bus.jetstream()).object_store(jetstream.BUCKET)
    assert (await bucket.get(put.digest)).data == BIG
    await place.bus.aclose()
