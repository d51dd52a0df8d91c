"""/api/sessions: list, show, start and cancel."""

from starlette.requests import Request
from starlette.responses import Response

from sidecar.domain.ids import AgentSlug, SessionId
from sidecar.domain.session import SessionStatus
from sidecar.relay import cancelling
from sidecar.relay.auth import services_of
from sidecar.relay.internal.exchange import answer, read
from sidecar.relay.operator.asking import MOST_SESSIONS, limit, members, word
from sidecar.relay.operator.endpoint import Endpoint, number, session, several, text
from sidecar.relay.operator.naming import session_named
from sidecar.relay.operator.starts import start_agent
from sidecar.relay.operator.views import (
    last_failure,
    preview_models,
    session_model,
    session_models,
)
from sidecar.wire.operator import (
    CancelAnswer,
    CancelRequest,
    SessionDetail,
    SessionsAnswer,
    StartAnswer,
    StartRequest,
)


async def find(request: Request, _: str) -> Response:
    services = services_of(request)
    async with services.store.transaction() as tx:
        agent, root = word(request, "agent"), word(request, "root")
        found = await tx.sessions.find(
            statuses=members(request, "status", SessionStatus),
            agent=AgentSlug(agent) if agent is not None else None,
            root=(await session_named(tx, root)).root_session_id if root is not None else None,
            limit=limit(request, 200, MOST_SESSIONS),
        )
        return answer(SessionsAnswer(sessions=await session_models(tx, services, found)))


async def show(request: Request, _: str) -> Response:
    services = services_of(request)
    async with services.store.transaction() as tx:
        shown = await session_named(tx, request.path_params["id"])
        children = await tx.sessions.children(shown.id)
        newest = await tx.activations.newest([shown.id, *(child.id for child in children)])
        failure = await last_failure(tx, shown)
        mine = [
            preview
            for preview in await tx.previews.find(root=shown.root_session_id)
            if preview.owner_session_id == shown.id
        ]
        previews = await preview_models(tx, mine)
    return answer(
        SessionDetail(
            **session_model(services, shown, newest).model_dump(),
            last_failure=failure,
            children=[session_model(services, child, newest) for child in children],
            previews=previews,
        )
    )


async def start(request: Request, operator: str) -> Response:
    body = await read(request, StartRequest)
    started = await start_agent(services_of(request), AgentSlug(body.agent), body.text, operator)
    return answer(started, 201)


async def cancel(request: Request, operator: str) -> Response:
    body = await read(request, CancelRequest)
    services = services_of(request)
    async with services.store.transaction() as tx:
        session_id = SessionId((await session_named(tx, request.path_params["id"])).id)
    done = await cancelling.cancel(services, session_id, body.reason, f"operator:{operator}")
    return answer(CancelAnswer(session_id=session_id, status=done.status))


endpoints = [
    Endpoint(
        method="GET",
        path="/api/sessions",
        says="List sessions, newest first.",
        handle=find,
        answers=SessionsAnswer,
        query=(
            several("status", "Only these, separated by commas.", *SessionStatus),
            text("agent", "Only this agent's, by slug."),
            session("root", "Only the tree of this session."),
            number("limit", "How many at most; 200 unless given.", MOST_SESSIONS, 1),
        ),
    ),
    Endpoint(
        method="POST",
        path="/api/sessions",
        says="Start an agent: wakes its live session, or begins a new one.",
        handle=start,
        takes=StartRequest,
        answers=StartAnswer,
        status=201,
    ),
    Endpoint(
        method="GET",
        path="/api/sessions/{id}",
        says="One session with its children and previews.",
        handle=show,
        answers=SessionDetail,
    ),
    Endpoint(
        method="POST",
        path="/api/sessions/{id}/cancel",
        says="Cancel a session and its descendants. A session that has ended stays as it is.",
        handle=cancel,
        takes=CancelRequest,
        answers=CancelAnswer,
    ),
]
