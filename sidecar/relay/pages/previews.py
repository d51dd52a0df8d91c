"""/previews is what runs where; /previews/{id} is one with its logs."""

from starlette.responses import Response

from sidecar.domain.ids import PreviewId
from sidecar.relay.operator.asking import path_id
from sidecar.relay.pages.proving import proofs_of
from sidecar.relay.pages.visit import Visit, done, form, page
from sidecar.relay.previews import releasing, rolling_back
from sidecar.relay.previews.reading import waits_for

TAIL = 500


async def all_previews(visit: Visit) -> Response:
    async with visit.services.store.transaction() as tx:
        found = await tx.previews.find()
        proven, waits = await proofs_of(tx, found), await waits_for(tx)
    return visit.page("previews.html", previews=found, proven=proven, waits=waits)


async def one_preview(visit: Visit) -> Response:
    async with visit.services.store.transaction() as tx:
        preview = await tx.previews.get(PreviewId(path_id(visit.request)))
        build = await tx.previews.log(preview.id, "build", tail=TAIL)
        app = await tx.previews.log(preview.id, "app", tail=TAIL)
        waits = (await waits_for(tx)).get(preview.id)
        evidence = await tx.evidence.list_of(preview.repo, preview.serving or preview.revision)
    logs = [("build", build), ("app", app)]
    shown = {"preview": preview, "waits": waits, "logs": logs, "evidence": evidence}
    return visit.page("preview.html", **shown)


async def release(visit: Visit) -> Response:
    preview_id = PreviewId(path_id(visit.request))
    await releasing.release(visit.services, preview_id, f"operator:{visit.operator}")
    return done(f"/previews/{preview_id}")


async def roll_back(visit: Visit) -> Response:
    preview_id = PreviewId(path_id(visit.request))
    await rolling_back.roll_back(visit.services, preview_id, f"operator:{visit.operator}")
    return done(f"/previews/{preview_id}")


routes = [
    page("/previews", all_previews),
    page("/previews/{id}", one_preview),
    form("/previews/{id}/release", release),
    form("/previews/{id}/rollback", roll_back),
]
