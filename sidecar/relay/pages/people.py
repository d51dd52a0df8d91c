"""/agents, /approvals, /grants and /audit: who there is, what they ask, what they may, what was decided."""

from starlette.responses import Response

from sidecar.domain.grant import GrantScope, GrantType
from sidecar.domain.ids import GrantId, RequestId
from sidecar.relay.operator.approvals import settle, waiting
from sidecar.relay.operator.asking import path_id
from sidecar.relay.operator.grants import give_grant, take
from sidecar.relay.pages.visit import Visit, done, form, page
from sidecar.wire.operator import ApprovalRequest, GrantRequest

SCOPES = (GrantScope.PERSISTENT, GrantScope.ONCE)


async def agents(visit: Visit) -> Response:
    async with visit.services.store.transaction() as tx:
        found = sorted(await tx.agents.list_all(), key=lambda agent: agent.slug)
        grants = {agent.slug: await tx.grants.of_agent(agent.slug) for agent in found}
    return visit.page("agents.html", agents=found, grants=grants)


async def approvals(visit: Visit) -> Response:
    async with visit.services.store.transaction() as tx:
        return visit.page("approvals.html", approvals=await waiting(tx))


async def answer(visit: Visit) -> Response:
    words = visit.fields.get("other") or visit.fields.get("answer", "")
    asked = ApprovalRequest(answer=words)
    request_id = RequestId(path_id(visit.request))
    settled = await settle(visit.services, request_id, asked.answer, visit.operator)
    return done(f"/sessions/{settled.session_id}")


async def grants(visit: Visit) -> Response:
    async with visit.services.store.transaction() as tx:
        found = sorted(await tx.grants.list_all(), key=lambda grant: grant.id, reverse=True)
        known = sorted(agent.slug for agent in await tx.agents.list_all())
    active = [grant for grant in found if grant.is_active]
    return visit.page(
        "grants.html",
        grants=[*active, *(grant for grant in found if not grant.is_active)],
        agents=known,
        types=list(GrantType),
        scopes=SCOPES,
    )


async def give(visit: Visit) -> Response:
    names = ("agent", "type", "target", "scope")
    asked = GrantRequest.model_validate({name: visit.fields.get(name, "") for name in names})
    await give_grant(visit.services, asked, visit.operator)
    return done("/grants")


async def revoke(visit: Visit) -> Response:
    await take(visit.services, GrantId(path_id(visit.request)), visit.operator)
    return done("/grants")


async def audit(visit: Visit) -> Response:
    async with visit.services.store.transaction() as tx:
        return visit.page("audit.html", entries=await tx.audit.latest())


routes = [
    page("/agents", agents),
    page("/approvals", approvals),
    form("/approvals/{id}", answer),
    page("/grants", grants),
    form("/grants", give),
    form("/grants/{id}/revoke", revoke),
    page("/audit", audit),
]
