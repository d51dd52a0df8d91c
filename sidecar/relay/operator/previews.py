"""/api/previews: list, read the log of one, release one."""

from starlette.requests import Request
from starlette.responses import Response

from sidecar.domain.errors import InvalidArguments
from sidecar.domain.ids import PreviewId
from sidecar.relay.auth import services_of
from sidecar.relay.internal.exchange import answer, integer
from sidecar.relay.operator.asking import MOST_ROWS, limit, path_id, word
from sidecar.relay.operator.endpoint import Endpoint, choice, number, session
from sidecar.relay.operator.naming import session_named
from sidecar.relay.operator.views import preview_models
from sidecar.relay.previews import releasing, rolling_back
from sidecar.wire.operator import (
    LogAnswer,
    PreviewsAnswer,
    ReleaseAnswer,
    RollbackAnswer,
)

SOURCES = ("build", "app")
LONGEST_TAIL = 5000


async def find(request: Request, _: str) -> Response:
    async with services_of(request).store.transaction() as tx:
        root = word(request, "root")
        found = await tx.previews.find(
            root=(await session_named(tx, root)).root_session_id if root is not None else None,
            limit=limit(request, 200, MOST_ROWS),
        )
        models = await preview_models(tx, found)
    return answer(PreviewsAnswer(previews=models))


async def logs(request: Request, _: str) -> Response:
    source, tail = word(request, "source"), integer(request, "tail", 200)
    source = "app" if source is None else source
    if source not in SOURCES:
        raise InvalidArguments(f"source: expected build or app, not {source[:40]!r}")
    if not 1 <= tail <= LONGEST_TAIL:
        raise InvalidArguments(f"tail: expected 1 to {LONGEST_TAIL}, not {tail}")
    async with services_of(request).store.transaction() as tx:
        preview = await tx.previews.get(PreviewId(path_id(request)))
        lines = await tx.previews.log(preview.id, source, tail=tail)
    return answer(LogAnswer(lines=list(lines)))


async def release(request: Request, operator: str) -> Response:
    preview_id = PreviewId(path_id(request))
    freed = await releasing.release(services_of(request), preview_id, f"operator:{operator}")
    return answer(ReleaseAnswer(preview_id=preview_id, status=freed.status))


async def roll_back(request: Request, operator: str) -> Response:
    preview_id = PreviewId(path_id(request))
    asked = await rolling_back.roll_back(services_of(request), preview_id, f"operator:{operator}")
    return answer(
        RollbackAnswer(preview_id=preview_id, status=asked.status, revision=asked.revision)
    )


endpoints = [
    Endpoint(
        method="GET",
        path="/api/previews",
        says="List previews, newest first.",
        handle=find,
        answers=PreviewsAnswer,
        query=(
            session("root", "Only those of this session's tree."),
            number("limit", "How many at most; 200 unless given.", MOST_ROWS, 1),
        ),
    ),
    Endpoint(
        method="GET",
        path="/api/previews/{id}/logs",
        says="The end of a preview's log.",
        handle=logs,
        answers=LogAnswer,
        query=(
            choice("source", "Which log; the app's unless given.", *SOURCES),
            number("tail", "How many lines at most; 200 unless given.", LONGEST_TAIL, 1),
        ),
    ),
    Endpoint(
        method="POST",
        path="/api/previews/{id}/release",
        says="Take a preview down.",
        handle=release,
        answers=ReleaseAnswer,
    ),
    Endpoint(
        method="POST",
        path="/api/previews/{id}/rollback",
        says="Serve the last revision that passed a verification again; it is proven first.",
        handle=roll_back,
        answers=RollbackAnswer,
    ),
]
