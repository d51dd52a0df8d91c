"""/api/grants: rights, which only a human gives and takes back."""

from starlette.requests import Request
from starlette.responses import Response

from sidecar.domain.audit import AuditEntry
from sidecar.domain.errors import Finding, GrantUnknown, InvalidArguments
from sidecar.domain.grant import Grant, GrantScope
from sidecar.domain.ids import AgentSlug, GrantId, SessionId, new_id
from sidecar.relay.auth import services_of
from sidecar.relay.internal.exchange import answer, read
from sidecar.relay.operator.asking import path_id
from sidecar.relay.operator.endpoint import Endpoint
from sidecar.relay.operator.naming import session_named
from sidecar.relay.operator.views import rows
from sidecar.relay.services import Services
from sidecar.store.port import Transaction
from sidecar.wire.operator import GrantModel, GrantRequest, GrantsAnswer


async def find(request: Request, _: str) -> Response:
    async with services_of(request).store.transaction() as tx:
        return answer(GrantsAnswer(grants=rows(GrantModel, await tx.grants.list_all())))


async def give(request: Request, operator: str) -> Response:
    body = await read(request, GrantRequest)
    grant = await give_grant(services_of(request), body, operator)
    return answer(GrantModel.model_validate(grant), 201)


async def revoke(request: Request, operator: str) -> Response:
    grant_id = GrantId(path_id(request))
    return answer(GrantModel.model_validate(await take(services_of(request), grant_id, operator)))


async def give_grant(services: Services, asked: GrantRequest, operator: str) -> Grant:
    """The one that stands already, or a new one. Raises AgentUnknown, SessionUnknown."""
    if (asked.session_id is not None) != (asked.scope is GrantScope.SESSION):
        message = "expected for scope `session`, and only there"
        place = Finding(path="session_id", message=message)
        raise InvalidArguments("this grant is not acceptable:", (place,))
    async with services.store.transaction() as tx:
        agent = await tx.agents.get(AgentSlug(asked.agent))
        session_id = await _session(tx, asked)
        for standing in await tx.grants.of_agent(agent.slug):
            if _is(standing, asked, session_id):
                return standing
        grant = Grant(
            id=GrantId(new_id()),
            agent=agent.slug,
            type=asked.type,
            target=asked.target,
            scope=asked.scope,
            granted_by=f"operator:{operator}",
            created_at=services.now(),
            session_id=session_id,
        )
        await tx.grants.insert(grant)
        await _audit(tx, services, grant, "grant", operator)
    return grant


async def take(services: Services, grant_id: GrantId, operator: str) -> Grant:
    """Revokes it, which works on the next use. Repeatable. Raises GrantUnknown."""
    async with services.store.transaction() as tx:
        grant = await _get(tx, grant_id)
        if grant.revoked_at is None:
            await tx.grants.revoke(grant_id, services.now())
            await _audit(tx, services, grant, "revoke grant", operator)
        return await _get(tx, grant_id)


async def _get(tx: Transaction, grant_id: GrantId) -> Grant:
    for grant in await tx.grants.list_all():
        if grant.id == grant_id:
            return grant
    raise GrantUnknown(f"no grant {grant_id}")


async def _session(tx: Transaction, asked: GrantRequest) -> SessionId | None:
    return (await session_named(tx, asked.session_id)).id if asked.session_id else None


def _is(standing: Grant, asked: GrantRequest, session_id: SessionId | None) -> bool:
    """A right to be used once is given as often as it is asked for."""
    return asked.scope is not GrantScope.ONCE and (
        standing.type,
        standing.target,
        standing.scope,
        standing.session_id,
    ) == (asked.type, asked.target, asked.scope, session_id)


async def _audit(
    tx: Transaction, services: Services, grant: Grant, action: str, operator: str
) -> None:
    await tx.audit.record(
        AuditEntry(
            at=services.now(),
            actor=f"operator:{operator}",
            action=action,
            target=grant.agent,
            allowed=True,
            reason=f"{grant.scope} {grant.type} over {grant.target}",
            details={"grant_id": grant.id},
        )
    )


endpoints = [
    Endpoint(
        method="GET",
        path="/api/grants",
        says="All grants, those taken back or used up included.",
        handle=find,
        answers=GrantsAnswer,
    ),
    Endpoint(
        method="POST",
        path="/api/grants",
        says="Give an agent a right.",
        handle=give,
        takes=GrantRequest,
        answers=GrantModel,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/api/grants/{id}/revoke",
        says="Take a right back; it works on the next use.",
        handle=revoke,
        answers=GrantModel,
    ),
]
