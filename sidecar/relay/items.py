"""Roadmap items: claimed for a whole session tree, so that two trees never work on one."""

from datetime import timedelta

from sidecar.relay.fence import fenced
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.wire.sessions import ItemAnswer, ItemRequest


async def claim_item(services: Services, claims: SessionClaims, request: ItemRequest) -> ItemAnswer:
    """Claiming again is renewing. `holder` is the root session of the tree that holds it."""
    now = services.now()
    until = now + timedelta(minutes=request.ttl_minutes)
    async with services.store.transaction() as tx:
        session = await fenced(tx, claims)
        holder = await tx.items.claim(
            session.workspace, request.item, session.root_session_id, until, now
        )
    return ItemAnswer(claimed=holder == session.root_session_id, holder=holder)


async def release_item(
    services: Services, claims: SessionClaims, request: ItemRequest
) -> ItemAnswer:
    """`claimed` is False afterwards unless somebody else holds the item; releasing twice is no error."""
    async with services.store.transaction() as tx:
        session = await fenced(tx, claims)
        await tx.items.release(session.workspace, request.item, session.root_session_id)
    return ItemAnswer(claimed=False, holder=None)
