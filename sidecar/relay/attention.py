"""What a session says about itself: be patient, here is where I am, I need a human."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sidecar.domain.event import EventType
from sidecar.domain.ids import RequestId, new_id
from sidecar.domain.request import HumanRequest, RequestKind
from sidecar.relay.effects import once
from sidecar.relay.fence import fenced
from sidecar.relay.journal import note
from sidecar.relay.nudges import events_of
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.wire.sessions import (
    InputAnswer,
    InputRequest,
    QuietAnswer,
    QuietRequest,
    StatusAnswer,
    StatusRequest,
)


async def expect_quiet(
    services: Services, claims: SessionClaims, request: QuietRequest
) -> QuietAnswer:
    """The watchdog keeps still about this session until then."""
    until = services.now() + timedelta(seconds=request.seconds)
    async with services.store.transaction() as tx:
        session = await fenced(tx, claims)
        await tx.sessions.save(replace(session, quiet_until=until, quiet_reason=request.reason))
    return QuietAnswer(until=until)


async def emit_status(
    services: Services, claims: SessionClaims, request: StatusRequest
) -> StatusAnswer:
    async with services.store.transaction() as tx:
        session = await fenced(tx, claims)
        await tx.sessions.save(replace(session, status_text=request.status))
        told = {"status": request.status, "detail": request.detail}
        await note(tx, session, EventType.AGENT_STATUS, told)
    services.nudges.nudge(events_of(claims.session_id))
    return StatusAnswer(status=session.status.value)


async def request_input(
    services: Services, claims: SessionClaims, request: InputRequest, key: str | None
) -> InputAnswer:
    """The answer comes back as a wake."""
    async with services.store.transaction() as tx:
        session = await fenced(tx, claims)

        async def act() -> dict[str, Any]:
            asked = HumanRequest(
                id=RequestId(new_id()),
                session_id=session.id,
                kind=RequestKind.INPUT,
                question=request.question,
                options=tuple(request.options),
                created_at=services.now(),
            )
            await tx.requests.insert(asked)
            told = {"request_id": asked.id, "question": asked.question, "options": request.options}
            await note(tx, session, EventType.AGENT_INPUT_REQUEST, told)
            return {"request_id": asked.id}

        answer = await once(tx, session.id, key and f"request {key}", act)
    services.nudges.nudge(events_of(claims.session_id))
    return InputAnswer.model_validate(answer)
