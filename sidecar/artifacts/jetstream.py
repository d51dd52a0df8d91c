"""Artifacts in JetStream, laid out as its object stores are (ADR-20), so that `nats object` reads them too.

An object is its chunks on one subject, then a record on another which names that subject; so a put that never
ended is not there for anybody. The client library's own verbs need the name before the content, block in
threads and gather what they read; these stream, one acknowledged chunk at a time.
"""

import base64
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RawStreamMsg, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from sidecar.artifacts.port import Artifact, Digest
from sidecar.domain.errors import (
    ArtifactCorrupt,
    ArtifactsFull,
    ArtifactsUnavailable,
    ArtifactTooLarge,
    ArtifactUnknown,
    Unavailable,
)
from sidecar.domain.ids import new_id
from sidecar.jetstream import ensure

BUCKET: Final = "x1-artifacts"
CHUNK_BYTES: Final = 256 * 1024
"""A quarter of NATS's largest message."""
_STREAM: Final = f"OBJ_{BUCKET}"
_CHUNKS: Final = f"$O.{BUCKET}.C."
_RECORDS: Final = f"$O.{BUCKET}.M."
_NO_ROOM: Final = 10047
_FULL: Final = 10077
"""Error codes: https://github.com/nats-io/nats-server/blob/main/server/errors.json"""

Connect = Callable[[], Awaitable[JetStreamContext]]
"""Raises Unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """`sequence` is the record's own place in the stream: a later put has a higher one."""

    artifact: Artifact
    chunks: str
    count: int
    sequence: int


class JetStreamArtifacts:
    """The bucket is made with the first put, on `replicas` servers, and never grows above `max_bytes` in all."""

    def __init__(self, connect: Connect, *, max_bytes: int, replicas: int = 1) -> None:
        self._connect = connect
        self._max_bytes = max_bytes
        self._replicas = replicas

    async def put(self, stream: AsyncIterable[bytes], cap_bytes: int) -> Artifact:
        with _translated():
            bucket = await self._connect()
            await self._ensure(bucket)
            subject = f"{_CHUNKS}{new_id()}"
            try:
                digest, size, count = await _store(bucket, subject, stream, cap_bytes)
                before = await _record_of(bucket, digest)
                await _tell(bucket, digest, subject, size, count)
            except BaseException:
                with suppress(NatsError, OSError, TimeoutError):
                    await bucket.purge_stream(_STREAM, subject=subject)
                raise
            if before is not None:
                await bucket.purge_stream(_STREAM, subject=before.chunks)
            stored = await _record_of(bucket, digest)
        if stored is None:
            raise ArtifactsUnavailable("what was stored is gone at once")
        return stored.artifact

    async def get(self, digest: Digest) -> AsyncGenerator[bytes]:
        with _translated():
            bucket = await self._connect()
            record = await _record_of(bucket, digest)
            if record is None:
                raise ArtifactUnknown(f"no artifact {digest}")
            seen, sequence = hashlib.sha256(), 1
            for _ in range(record.count):
                chunk = await _next(bucket, record.chunks, sequence)
                if chunk is None or chunk.data is None or chunk.seq is None:
                    raise ArtifactCorrupt(f"artifact {digest} lacks a part")
                seen.update(chunk.data)
                sequence = chunk.seq + 1
                yield chunk.data
        if seen.hexdigest() != digest:
            raise ArtifactCorrupt(f"artifact {digest} is not what was stored")

    async def find(self, digest: Digest) -> Artifact | None:
        with _translated():
            record = await _record_of(await self._connect(), digest)
        return record.artifact if record else None

    async def list_all(self) -> Sequence[Artifact]:
        with _translated():
            bucket = await self._connect()
            return [record.artifact for record in await _records(bucket)]

    async def delete(self, digest: Digest, *, stored_before: datetime) -> bool:
        """The record goes first, and only up to the one that was looked at: a newer one stays whole."""
        with _translated():
            bucket = await self._connect()
            record = await _record_of(bucket, digest)
            if record is None or record.artifact.stored_at >= stored_before:
                return False
            place = _place(digest)
            await bucket.purge_stream(_STREAM, seq=record.sequence + 1, subject=place)
            await bucket.purge_stream(_STREAM, subject=record.chunks)
        return True

    async def sweep(self, *, stored_before: datetime) -> int:
        with _translated():
            bucket = await self._connect()
            chunks = await _subjects(bucket, _CHUNKS)
            known = {record.chunks for record in await _records(bucket)}
            orphans = [each for each in chunks if each not in known]
            swept = 0
            for subject in orphans:
                last = await _last(bucket, subject)
                if last is not None and _time_of(last) < stored_before:
                    await bucket.purge_stream(_STREAM, subject=subject)
                    swept += 1
        return swept

    async def _ensure(self, bucket: JetStreamContext) -> None:
        config = StreamConfig(
            name=_STREAM,
            subjects=[f"{_CHUNKS}>", f"{_RECORDS}>"],
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            max_bytes=self._max_bytes,
            num_replicas=self._replicas,
            allow_rollup_hdrs=True,
            allow_direct=True,
        )
        await ensure(bucket, config)


async def _store(
    bucket: JetStreamContext, subject: str, stream: AsyncIterable[bytes], cap_bytes: int
) -> tuple[Digest, int, int]:
    """Digest, size and number of the chunks that are now on `subject`."""
    seen, size, count, waiting = hashlib.sha256(), 0, 0, bytearray()
    async for piece in stream:
        size += len(piece)
        if size > cap_bytes:
            raise ArtifactTooLarge.than(cap_bytes)
        seen.update(piece)
        waiting += piece
        while len(waiting) >= CHUNK_BYTES:
            await bucket.publish(subject, bytes(waiting[:CHUNK_BYTES]), stream=_STREAM)
            del waiting[:CHUNK_BYTES]
            count += 1
    if waiting:
        await bucket.publish(subject, bytes(waiting), stream=_STREAM)
        count += 1
    return Digest(seen.hexdigest()), size, count


async def _tell(
    bucket: JetStreamContext, digest: Digest, subject: str, size: int, count: int
) -> None:
    record = {
        "name": digest,
        "bucket": BUCKET,
        "nuid": subject.removeprefix(_CHUNKS),
        "size": size,
        "chunks": count,
        "digest": f"SHA-256={base64.urlsafe_b64encode(bytes.fromhex(digest)).decode()}",
        "options": {"max_chunk_size": CHUNK_BYTES},
    }
    await bucket.publish(
        _place(digest),
        json.dumps(record).encode(),
        stream=_STREAM,
        headers={"Nats-Rollup": "sub"},
    )


def _place(digest: Digest) -> str:
    return _RECORDS + base64.urlsafe_b64encode(digest.encode()).decode()


async def _record_of(bucket: JetStreamContext, digest: Digest) -> _Record | None:
    return _read(await _last(bucket, _place(digest)))


async def _records(bucket: JetStreamContext) -> list[_Record]:
    found = [_read(await _last(bucket, each)) for each in await _subjects(bucket, _RECORDS)]
    return [each for each in found if each is not None]


def _read(message: RawStreamMsg | None) -> _Record | None:
    if message is None or message.seq is None:
        return None
    told: dict[str, Any] = json.loads(message.data or b"{}")
    if told.get("deleted"):
        return None
    return _Record(
        artifact=Artifact(
            digest=Digest(told["name"]), size=told.get("size", 0), stored_at=_time_of(message)
        ),
        chunks=f"{_CHUNKS}{told['nuid']}",
        count=told.get("chunks", 0),
        sequence=message.seq,
    )


async def _subjects(bucket: JetStreamContext, prefix: str) -> Sequence[str]:
    try:
        info = await bucket.stream_info(_STREAM, subjects_filter=f"{prefix}>")
    except NotFoundError:
        return []
    return list(info.state.subjects or {})


async def _last(bucket: JetStreamContext, subject: str) -> RawStreamMsg | None:
    try:
        return await bucket.get_last_msg(_STREAM, subject)
    except NotFoundError:
        return None


async def _next(bucket: JetStreamContext, subject: str, sequence: int) -> RawStreamMsg | None:
    try:
        return await bucket.get_msg(_STREAM, seq=sequence, subject=subject, next=True, direct=True)
    except NotFoundError:
        return None


def _time_of(message: RawStreamMsg) -> datetime:
    assert message.time is not None
    return message.time


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except Unavailable as error:
        raise ArtifactsUnavailable(str(error)) from error
    except APIError as error:
        if error.err_code == _FULL:
            raise ArtifactsFull("the artifact store is full") from error
        if error.err_code == _NO_ROOM:
            raise ArtifactsFull(
                "JetStream's disk has not the room that X1_ARTIFACTS_MAX_BYTES asks for"
            ) from error
        raise ArtifactsUnavailable(f"the artifact store refuses: {error.description}") from error
    except (NatsError, OSError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise ArtifactsUnavailable(f"the artifact store does not answer: {reason}") from error
