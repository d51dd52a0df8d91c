"""/api/approvals: what agents ask humans, and the answer, which comes back to them as a wake."""

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from sidecar.domain.audit import AuditEntry
from sidecar.domain.errors import Conflict
from sidecar.domain.event import EventType
from sidecar.domain.ids import RequestId
from sidecar.domain.request import HumanRequest
from sidecar.domain.session import Session
from sidecar.domain.wake import WakeKind
from sidecar.relay import waking
from sidecar.relay.auth import services_of
from sidecar.relay.internal.exchange import answer, read
from sidecar.relay.journal import note
from sidecar.relay.operator.asking import path_id
from sidecar.relay.operator.endpoint import Endpoint
from sidecar.relay.operator.views import approval_model
from sidecar.relay.services import Services
from sidecar.store.port import Transaction
from sidecar.wire.operator import ApprovalModel, ApprovalRequest, ApprovalsAnswer


async def find(request: Request, _: str) -> Response:
    async with services_of(request).store.transaction() as tx:
        return answer(ApprovalsAnswer(approvals=await waiting(tx)))


async def waiting(tx: Transaction) -> list[ApprovalModel]:
    """Questions of sessions that live: nobody waits for the others."""
    asked = [(each, await tx.sessions.get(each.session_id)) for each in await tx.requests.open()]
    return [
        approval_model(each, session) for each, session in asked if not session.status.is_terminal
    ]


async def post(request: Request, operator: str) -> Response:
    body = await read(request, ApprovalRequest)
    request_id = RequestId(path_id(request))
    return answer(await settle(services_of(request), request_id, body.answer, operator))


async def settle(
    services: Services, request_id: RequestId, words: str, operator: str
) -> ApprovalModel:
    """Repeatable with the same answer. Raises RequestUnknown, SessionEnded, and Conflict for another answer."""
    async with services.store.transaction() as tx:
        asked = await tx.requests.lock(request_id)
        session = await tx.sessions.lock(asked.session_id)
        if asked.answered_at is not None:
            return _again(asked, session, words)
        settled = replace(asked, answer=words, answered_by=operator, answered_at=services.now())
        told = {"request_id": asked.id, "question": asked.question, "answer": words}
        wake = await waking.wake(
            tx,
            services,
            session.id,
            WakeKind.APPROVAL,
            f"You asked: {asked.question}\n\nThe answer: {words}",
            payload=told,
            sender=operator,
            dedupe_key=f"answer {asked.id}",
        )
        await tx.requests.save(settled)
        message = {"text": words, "wake_id": wake.id, "sender": operator} | told
        await note(tx, session, EventType.USER_MESSAGE, message)
        await _audit(tx, services, settled)
    await waking.ring(services, wake)
    return approval_model(settled, session)


def _again(asked: HumanRequest, session: Session, words: str) -> ApprovalModel:
    if asked.answer != words:
        raise Conflict(f"{asked.answered_by} has answered this already: {asked.answer}")
    return approval_model(asked, session)


async def _audit(tx: Transaction, services: Services, settled: HumanRequest) -> None:
    await tx.audit.record(
        AuditEntry(
            at=services.now(),
            actor=f"operator:{settled.answered_by}",
            action="answer",
            target=settled.session_id,
            allowed=True,
            reason="a human answered what the agent asked",
            details={"request_id": settled.id, "answer": settled.answer},
        )
    )


endpoints = [
    Endpoint(
        method="GET",
        path="/api/approvals",
        says="What live sessions wait for a human to answer, oldest first.",
        handle=find,
        answers=ApprovalsAnswer,
    ),
    Endpoint(
        method="POST",
        path="/api/approvals/{id}",
        says="Answer; the session is woken with it.",
        handle=post,
        takes=ApprovalRequest,
        answers=ApprovalModel,
    ),
]
