"""/ is all sessions as a tree; /sessions/{id} is one, live, with the forms that steer it."""

from starlette.responses import Response

from sidecar.domain.ids import AgentSlug
from sidecar.domain.lease import MAX_BARREN_ACTIVATIONS
from sidecar.relay import cancelling
from sidecar.relay.operator.naming import session_named
from sidecar.relay.operator.starts import start_agent
from sidecar.relay.operator.views import flow_run_url, last_failure, waits_for
from sidecar.relay.operator.wakes import say
from sidecar.relay.pages import tree
from sidecar.relay.pages.proving import proofs_of
from sidecar.relay.pages.visit import Visit, done, form, page
from sidecar.wire.operator import CancelRequest, SayRequest, StartRequest

SHOWN = 200
NEWEST_EVENTS = 3000
"""What a page streams at first; the rest is behind a link."""


async def all_sessions(visit: Visit) -> Response:
    async with visit.services.store.transaction() as tx:
        sessions = await tx.sessions.find(limit=SHOWN)
        previews = await tx.previews.find()
        agents = await tx.agents.list_all()
        questions = await tx.requests.open()
        newest = await tx.activations.newest([session.id for session in sessions])
        rows = tree.rows(sessions, previews, visit.services.now())
        proven = await proofs_of(tx, (each for row in rows for each in row.previews))
    return visit.page(
        "sessions.html",
        rows=rows,
        proven=proven,
        waits={session.id: waits_for(newest.get(session.id)) for session in sessions},
        agents=sorted(agent.slug for agent in agents),
        questions=len(questions),
    )


async def one_session(visit: Visit) -> Response:
    given, services = visit.request.path_params["id"], visit.services
    async with services.store.transaction() as tx:
        session = await session_named(tx, given)
        if session.id != given:
            return done(f"/sessions/{session.id}")
        parent = session.parent_session_id
        caller = await tx.sessions.get(parent) if parent else None
        children = await tx.sessions.children(session.id)
        newest = (await tx.activations.newest([session.id])).get(session.id)
        failure = await last_failure(tx, session)
        previews = await tx.previews.find(root=session.root_session_id)
        mine = [each for each in previews if each.owner_session_id == session.id]
        proven = await proofs_of(tx, mine)
    now = services.now()
    return visit.page(
        "session.html",
        row=tree.row(session, previews, now),
        session=session,
        caller=caller,
        children=[tree.row(child, previews, now) for child in children],
        waits=waits_for(newest),
        failure=failure,
        most_failures=MAX_BARREN_ACTIVATIONS,
        flow_run_url=flow_run_url(services, newest.flow_run_id if newest else None),
        previews=mine,
        proven=proven,
        after=_after(visit, session.last_sequence),
    )


def _after(visit: Visit, last: int) -> int:
    is_whole = visit.request.query_params.get("events") == "all"
    return 0 if is_whole else max(0, last - NEWEST_EVENTS)


async def start(visit: Visit) -> Response:
    asked = StartRequest(agent=visit.fields.get("agent", ""), text=visit.fields.get("text") or None)
    started = await start_agent(visit.services, AgentSlug(asked.agent), asked.text, visit.operator)
    return done(f"/sessions/{started.session_id}")


async def speak(visit: Visit) -> Response:
    session_id = visit.request.path_params["id"]
    asked = SayRequest(session_id=session_id, text=visit.fields.get("text", ""))
    wake = await say(visit.services, asked.session_id, asked.text, visit.operator)
    return done(f"/sessions/{wake.session_id}#say")


async def cancel(visit: Visit) -> Response:
    asked = CancelRequest(reason=visit.fields.get("reason", ""))
    async with visit.services.store.transaction() as tx:
        session = await session_named(tx, visit.request.path_params["id"])
    actor = f"operator:{visit.operator}"
    await cancelling.cancel(visit.services, session.id, asked.reason, actor)
    return done(f"/sessions/{session.id}")


routes = [
    page("/", all_sessions),
    form("/sessions", start),
    page("/sessions/{id}", one_session),
    form("/sessions/{id}/say", speak),
    form("/sessions/{id}/cancel", cancel),
]
