"""Reading previews: their status, their logs, what happened to them."""

from collections.abc import Mapping
from typing import Any, Final

from sidecar.domain.errors import InvalidArguments
from sidecar.domain.event import EventType
from sidecar.domain.ids import PreviewId
from sidecar.domain.preview import Preview
from sidecar.relay.fence import check
from sidecar.relay.previews.owning import require_own, require_seen
from sidecar.relay.services import Services
from sidecar.relay.tokens import SessionClaims
from sidecar.store.port import Transaction
from sidecar.wire.previews import PreviewEvents, PreviewLogs, PreviewModel

SOURCES: Final = ("build", "app")
MAX_TAIL: Final = 2000
MAX_EVENTS: Final = 500
TYPES: Final = tuple(each.value for each in EventType if each.value.startswith("preview."))


async def status(services: Services, claims: SessionClaims, preview_id: PreviewId) -> PreviewModel:
    async with services.store.transaction() as tx:
        session = await tx.sessions.get(claims.session_id)
        check(session, claims)
        preview = await tx.previews.get(preview_id)
        reasons = await waits_for(tx)
    require_seen(preview, session)
    return model_of(preview, reasons.get(preview_id))


async def logs(
    services: Services, claims: SessionClaims, preview_id: PreviewId, source: str, tail: int
) -> PreviewLogs:
    if source not in SOURCES:
        raise InvalidArguments(f"source: expected build or app, not {source[:40]!r}")
    async with services.store.transaction() as tx:
        session = await tx.sessions.get(claims.session_id)
        check(session, claims)
        require_own(await tx.previews.get(preview_id), session)
        lines = await tx.previews.log(preview_id, source, tail=max(1, min(tail, MAX_TAIL)))
    return PreviewLogs(lines=list(lines))


async def events(
    services: Services, claims: SessionClaims, preview_id: PreviewId, since: int
) -> PreviewEvents:
    """Of the session that deployed it last, oldest first."""
    async with services.store.transaction() as tx:
        session = await tx.sessions.get(claims.session_id)
        check(session, claims)
        preview = await tx.previews.get(preview_id)
        require_own(preview, session)
        found = await tx.events.after(
            preview.owner_session_id, since, limit=MAX_EVENTS, types=TYPES
        )
    told: list[dict[str, Any]] = [
        {
            "sequence": each.sequence,
            "timestamp": each.timestamp.isoformat(),
            "type": each.type,
            **each.payload,
        }
        for each in found
        if each.payload.get("preview_id") == preview_id
    ]
    return PreviewEvents(events=told)


async def waits_for(tx: Transaction) -> Mapping[PreviewId, str]:
    """Why what was asked of a preview has not begun, of those where anything is known of it."""
    return {
        each.preview_id: each.queued_reason
        for each in await tx.operations.all_open()
        if each.queued_reason
    }


def model_of(preview: Preview, waits_for: str | None = None) -> PreviewModel:
    return PreviewModel(
        preview_id=preview.id,
        repo=preview.repo,
        branch=preview.branch,
        revision=preview.revision,
        serving=preview.serving,
        status=preview.status.value,
        url=preview.url,
        alias_url=preview.alias_url,
        diagnosis=preview.diagnosis,
        waits_for=waits_for,
        owner_session_id=preview.owner_session_id,
        updated_at=preview.updated_at,
    )
