"""Previews over the operator's API."""

from sidecar.domain.ids import OperationId, PreviewId, Repository, Revision, new_id
from sidecar.domain.preview import (
    Operation,
    OperationKind,
    OperationState,
    Preview,
    PreviewStatus,
)


async def stored(desk, session, **fields):
    preview = Preview(
        id=PreviewId(new_id()),
        workspace="default",
        repo=Repository("acme/app"),
        branch=fields.pop("branch", "feat/one"),
        revision=Revision("a" * 40),
        owner_session_id=session.id,
        root_session_id=session.root_session_id,
        status=PreviewStatus.READY,
        url="http://app-feat-one.localhost:8800",
        alias_url="http://app-aaaaaaaa.localhost:8800",
        created_at=desk.clock(),
        updated_at=desk.clock(),
        **fields,
    )
    async with desk.services.store.transaction() as tx:
        await tx.previews.insert(preview)
    return preview


async def test_previews_are_listed_and_shown_with_their_session(desk, http):
    session = await desk.session()
    preview = await stored(desk, session)
    (listed,) = (await http.get("/api/previews")).json()["previews"]
    assert (listed["id"], listed["status"], listed["repo"]) == (preview.id, "ready", "acme/app")
    shown = (await http.get(f"/api/sessions/{session.id}")).json()
    assert [each["url"] for each in shown["previews"]] == [preview.url]


async def test_what_a_preview_waits_for_is_told_by_api_and_pages(desk, http, browser):
    session = await desk.session()
    preview = await stored(desk, session)
    reason = "queued: quota, position 1 of 1; limits.memory is used up"
    await waiting(desk, preview, reason)
    (listed,) = (await http.get("/api/previews")).json()["previews"]
    assert listed["waits_for"] == reason
    (shown,) = (await http.get(f"/api/sessions/{session.id}")).json()["previews"]
    assert shown["waits_for"] == reason
    for path in ("/previews", f"/previews/{preview.id}"):
        assert reason in (await browser.get(path)).text


async def waiting(desk, preview, reason):
    """A verification that cannot begin."""
    operation = Operation(
        id=OperationId(new_id()),
        preview_id=preview.id,
        session_id=preview.owner_session_id,
        kind=OperationKind.VERIFY,
        state=OperationState.REQUESTED,
        revision=preview.revision,
        created_at=desk.clock(),
        queued_reason=reason,
    )
    async with desk.services.store.transaction() as tx:
        await tx.operations.insert(operation)


async def test_the_end_of_a_log_is_read_by_its_source(desk, http):
    preview = await stored(desk, await desk.session())
    async with desk.services.store.transaction() as tx:
        await tx.previews.append_log(preview.id, "build", ["one", "two", "three"])
    path = f"/api/previews/{preview.id}/logs"
    answer = await http.get(path, params={"source": "build", "tail": 2})
    assert answer.json() == {"lines": ["two", "three"]}
    assert (await http.get(path)).json() == {"lines": []}
    assert (await http.get(path, params={"source": "x"})).status_code == 422
    assert (await http.get("/api/previews/nope/logs")).status_code == 404


async def test_a_released_preview_frees_its_name_and_may_be_released_again(desk, http):
    session = await desk.session()
    preview = await stored(desk, session)
    for _ in range(2):
        answer = await http.post(f"/api/previews/{preview.id}/release")
        assert answer.json() == {"preview_id": preview.id, "status": "released"}
    entry = (await http.get("/api/audit")).json()["audit"][0]
    assert entry["actor"] == "operator:operator"
    assert (await http.post("/api/previews/nope/release")).status_code == 404
