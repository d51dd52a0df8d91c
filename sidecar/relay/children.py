"""A session's children as it sees them: where they stand and what they have done."""

from collections.abc import Sequence
from typing import Final

from sidecar.domain.event import Event
from sidecar.domain.ids import SessionId
from sidecar.domain.session import Session
from sidecar.relay.family import child_of
from sidecar.relay.fence import check
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.relay.usage import as_json
from sidecar.wire.sessions import ChildModel, ChildOutput, ChildrenAnswer, EventModel

MAX_EVENTS: Final = 1000


async def children(services: Services, claims: SessionClaims, status: str | None) -> ChildrenAnswer:
    async with services.store.transaction() as tx:
        check(await tx.sessions.get(claims.session_id), claims)
        rows = await tx.sessions.children(claims.session_id)
    return ChildrenAnswer(
        children=[_model(row) for row in rows if status in (None, row.status.value)]
    )


async def output(
    services: Services,
    claims: SessionClaims,
    child_id: SessionId,
    *,
    after: int,
    limit: int,
    types: Sequence[str],
) -> ChildOutput:
    """Raises NotYourChild. `last_seq` is where to go on: the last one given, or `after`."""
    async with services.store.transaction() as tx:
        caller = await tx.sessions.get(claims.session_id)
        check(caller, claims)
        child = await child_of(tx, caller, child_id)
        events = await tx.events.after(
            child.id, after, limit=max(1, min(limit, MAX_EVENTS)), types=types
        )
    last = events[-1].sequence if events else after
    return ChildOutput(child=_model(child), events=[_event(each) for each in events], last_seq=last)


def _event(event: Event) -> EventModel:
    return EventModel.model_validate(event, from_attributes=True)


def _model(child: Session) -> ChildModel:
    return ChildModel(
        session_id=child.id,
        slug=child.agent,
        status=child.status.value,
        last_event_at=child.last_event_at,
        usage=as_json(child.usage),
        summary=child.summary,
        branch=child.branch,
    )
