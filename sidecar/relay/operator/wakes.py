"""/api/wakes: what a session was told and where it stands; saying something to it."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sidecar.domain.audit import AuditEntry
from sidecar.domain.errors import InvalidArguments
from sidecar.domain.event import EventType
from sidecar.domain.ids import WakeId
from sidecar.domain.session import Session
from sidecar.domain.wake import Wake, WakeKind
from sidecar.relay import waking
from sidecar.relay.auth import services_of
from sidecar.relay.effects import once
from sidecar.relay.internal.exchange import answer, idempotency_key, read
from sidecar.relay.journal import note
from sidecar.relay.operator.asking import MOST_ROWS, limit, word
from sidecar.relay.operator.endpoint import Endpoint, Query, number, session
from sidecar.relay.operator.naming import session_named
from sidecar.relay.services import Services
from sidecar.store.port import Transaction
from sidecar.wire.operator import SayRequest, WakesAnswer
from sidecar.wire.wakes import WakeModel


async def find(request: Request, _: str) -> Response:
    given = word(request, "session_id")
    if given is None:
        raise InvalidArguments("session_id: expected a session's id")
    async with services_of(request).store.transaction() as tx:
        named = await session_named(tx, given)
        found = await tx.wakes.list_of(named.id, limit(request, 200, MOST_ROWS))
    return answer(WakesAnswer(wakes=[WakeModel.of(each) for each in found]))


async def post(request: Request, operator: str) -> Response:
    body = await read(request, SayRequest)
    key = idempotency_key(request)
    wake = await say(services_of(request), body.session_id, body.text, operator, key)
    return answer(WakeModel.of(wake), 201)


async def say(
    services: Services, given: str, words: str, operator: str, key: str | None = None
) -> Wake:
    """Wakes the session with the operator's words. Raises SessionUnknown, SessionEnded."""
    async with services.store.transaction() as tx:
        named = await session_named(tx, given)

        async def act() -> dict[str, Any]:
            return {"wake_id": (await _tell(tx, services, named, words, operator)).id}

        said = await once(tx, named.id, key and f"operator {key}", act)
        wake = await tx.wakes.get(WakeId(said["wake_id"]))
    await waking.ring(services, wake)
    return wake


async def _tell(
    tx: Transaction, services: Services, session: Session, words: str, operator: str
) -> Wake:
    wake = await waking.wake(tx, services, session.id, WakeKind.USER, words, sender=operator)
    told = {"text": wake.text, "wake_id": wake.id, "sender": operator}
    await note(tx, session, EventType.USER_MESSAGE, told)
    await tx.audit.record(
        AuditEntry(
            at=services.now(),
            actor=f"operator:{operator}",
            action="say",
            target=session.id,
            allowed=True,
            reason="an operator may speak to every session",
            details={"wake_id": wake.id},
        )
    )
    return wake


endpoints = [
    Endpoint(
        method="GET",
        path="/api/wakes",
        says="A session's wakes with their receipts, newest first.",
        handle=find,
        answers=WakesAnswer,
        query=(
            session("session_id", "Whose.", is_required=True),
            number("limit", "How many at most; 200 unless given.", MOST_ROWS, 1),
        ),
    ),
    Endpoint(
        method="POST",
        path="/api/wakes",
        says="Say something to a session: it takes a turn.",
        handle=post,
        takes=SayRequest,
        answers=WakeModel,
        headers=(
            Query(
                name="Idempotency-Key",
                says="A repeat with the same key answers with the first wake.",
                schema={"type": "string"},
            ),
        ),
        status=201,
    ),
]
