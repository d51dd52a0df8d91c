"""/api/sessions/{id}/events, page by page, and …/stream, as they come.

The stream's ids are the events' sequence numbers, which are dense: whoever resumes with Last-Event-ID gets
exactly what is missing. It ends some seconds after its session did; asked again with nothing left to tell,
it answers 204, on which a browser's EventSource stops asking.
"""

import json
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from sidecar.domain.errors import InvalidArguments
from sidecar.domain.event import Event
from sidecar.domain.ids import SessionId
from sidecar.domain.session import Session
from sidecar.relay.auth import services_of
from sidecar.relay.internal.exchange import answer, integer
from sidecar.relay.nudges import events_of
from sidecar.relay.operator.asking import MOST_EVENTS, limit, words
from sidecar.relay.operator.endpoint import EVENT_STREAM, Endpoint, Query, number, text
from sidecar.relay.operator.naming import session_named
from sidecar.relay.operator.views import event_model
from sidecar.relay.services import Services
from sidecar.wire.operator import EventsAnswer

PAGE: Final = 200
POLL_SECONDS: Final = 0.5
"""A nudge shortens the wait; another replica's events are found by polling alone."""
KEEP_ALIVE_SECONDS: Final = 15.0
LINGER: Final = timedelta(seconds=10)
"""A session's last events may be stored just after its end."""
NEWEST: Final = 10**18 - 1
"""Of as many digits as every bigint holds."""

HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}


async def events(request: Request, _: str) -> Response:
    after = integer(request, "after", 0)
    async with services_of(request).store.transaction() as tx:
        session = await session_named(tx, request.path_params["id"])
        found = await tx.events.after(
            session.id,
            after,
            limit=limit(request, 500, MOST_EVENTS),
            types=words(request, "types"),
        )
    last = found[-1].sequence if found else after
    page = EventsAnswer(events=[event_model(each) for each in found], last_sequence=last)
    return answer(page)


async def stream(request: Request, _: str) -> Response:
    services, after = services_of(request), _resumes_after(request)
    async with services.store.transaction() as tx:
        session = await session_named(tx, request.path_params["id"])
    if _is_over(services, session) and session.last_sequence <= after:
        return Response(status_code=204, headers=HEADERS)
    told = _told(services, session.id, after)
    return StreamingResponse(told, media_type=EVENT_STREAM, headers=HEADERS)


def _resumes_after(request: Request) -> int:
    """Last-Event-ID decides, as a browser sends it when it comes again. Raises InvalidArguments."""
    last = request.headers.get("last-event-id", "").strip()
    if not last:
        return integer(request, "after", 0)
    if not (last.isascii() and last.isdecimal()) or int(last) > NEWEST:
        raise InvalidArguments(f"Last-Event-ID: expected a sequence number, not {last[:40]!r}")
    return int(last)


async def _told(services: Services, session_id: SessionId, after: int) -> AsyncGenerator[str, None]:
    """Ends with its session; whoever listens may leave at any time."""
    yield ": the events of one session, by sequence\n\n"
    quiet_since = time.monotonic()
    while True:
        session, found = await _look(services, session_id, after)
        for event in found:
            yield _frame(event)
            after = event.sequence
        if found:
            quiet_since = time.monotonic()
            continue
        if _is_over(services, session):
            return
        if time.monotonic() - quiet_since >= KEEP_ALIVE_SECONDS:
            yield ": still here\n\n"
            quiet_since = time.monotonic()
        await services.nudges.wait(events_of(session_id), POLL_SECONDS)


async def _look(
    services: Services, session_id: SessionId, after: int
) -> tuple[Session, Sequence[Event]]:
    """The row first: what is stored before a session is over is then in the page."""
    async with services.store.transaction() as tx:
        session = await tx.sessions.get(session_id)
        return session, await tx.events.after(session_id, after, limit=PAGE)


def _is_over(services: Services, session: Session) -> bool:
    return session.ended_at is not None and services.now() >= session.ended_at + LINGER


def _frame(event: Event) -> str:
    """One `data:` line, in ASCII: some readers take U+2028 and its like for the end of a line."""
    data = json.dumps(event_model(event).model_dump(mode="json"))
    return f"id: {event.sequence}\ndata: {data}\n\n"


AFTER = number("after", "Only later sequence numbers.", NEWEST)

endpoints = [
    Endpoint(
        method="GET",
        path="/api/sessions/{id}/events",
        says="A page of a session's events, oldest first.",
        handle=events,
        answers=EventsAnswer,
        query=(
            AFTER,
            number("limit", "How many at most; 500 unless given.", MOST_EVENTS, 1),
            text("types", "Only these, separated by commas."),
        ),
    ),
    Endpoint(
        method="GET",
        path="/api/sessions/{id}/stream",
        says="A session's events as they come, as server-sent events; 204 when it ended and all is told.",
        handle=stream,
        answers=None,
        query=(AFTER,),
        headers=(
            Query(
                name="Last-Event-ID",
                says="Resumes after this sequence number; stands above `after`.",
                schema={"type": "string", "pattern": "^[0-9]{1,18}$"},
            ),
        ),
    ),
]
