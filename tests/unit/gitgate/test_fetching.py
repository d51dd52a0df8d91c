"""Which event a request to upload-pack is."""

import gzip
import random
from collections.abc import AsyncIterator

import pytest

from sidecar.domain.event import EventType
from sidecar.pod.gitgate.fetching import FetchReader
from sidecar.pod.gitgate.head import packet

WANT, HAVE = packet(b"want " + b"a" * 40 + b"\n"), packet(b"have " + b"b" * 40 + b"\n")
FETCH = packet(b"command=fetch") + packet(b"agent=git/2") + b"0001" + packet(b"thin-pack")
CLONE = FETCH + WANT + packet(b"done\n") + b"0000"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (CLONE, EventType.GIT_CLONE),
        (FETCH + WANT + HAVE + packet(b"done\n") + b"0000", EventType.GIT_FETCH),
        (packet(b"command=ls-refs\n") + b"0001" + packet(b"peel") + b"0000", None),
        (WANT + b"0000" + packet(b"done\n"), EventType.GIT_CLONE),
        (WANT + b"0000" + HAVE + packet(b"done\n"), EventType.GIT_FETCH),
        (b"0000", None),
        (b"", None),
        (b"no packets", EventType.GIT_FETCH),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_a_request_is_told_by_its_lines(
    body: bytes, kind: EventType | None, step: int, encoding: str | None
):
    reader = FetchReader(content_encoding=encoding)
    sent = gzip.compress(body) if encoding else body
    for at in range(0, len(sent), step):
        reader.feed(sent[at : at + step])
    assert reader.kind == kind


@pytest.mark.parametrize(
    "sent", [random.Random(1).randbytes(500), gzip.compress(b"0001" * (1 << 20))]
)
def test_what_cannot_be_read_counts_as_a_fetch(sent: bytes):
    reader = FetchReader(content_encoding="gzip")
    reader.feed(sent)
    assert reader.kind == EventType.GIT_FETCH


async def test_what_is_watched_passes_unchanged():
    async def body() -> AsyncIterator[bytes]:
        yield CLONE[:9]
        yield CLONE[9:]

    reader = FetchReader(content_encoding=None)
    assert b"".join([chunk async for chunk in reader.watch(body())]) == CLONE
    assert reader.kind == EventType.GIT_CLONE
