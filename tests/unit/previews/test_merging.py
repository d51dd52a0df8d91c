"""Evidence and merges: exactly what was proven, once, whoever crashes."""

import asyncio
from datetime import timedelta

import pytest

from sidecar.domain.errors import (
    ChecksFailed,
    ForgeUnavailable,
    GrantMissing,
    InvalidArguments,
    MergeConflict,
    PreviewClaimed,
    RelayUnavailable,
)
from sidecar.domain.grant import GrantScope
from sidecar.domain.ids import Repository, Revision
from sidecar.domain.session import SpecReference
from sidecar.relay import merging
from sidecar.relay.previews import verifying
from sidecar.wire.previews import VerifyRequest

CHECKS = [
    {"method": "GET", "path": "/", "status": 200, "contains": "hello"},
    {"method": "GET", "path": "/healthz", "status": 200},
]
CONTRACT = b"""---
child: worker
repo: acme/app
branch: feat/one
acceptance:
  - {method: GET, path: /, status: 200, contains: hello}
  - {method: GET, path: /healthz, status: 200}
---
Build it.
"""


async def proven(desk, boss, revision):
    await desk.grant()
    answer = await desk.ready(boss, revision)
    return (await desk.verify(boss, answer.preview_id)).evidence_id


async def live(desk):
    async with desk.services.store.transaction() as tx:
        return await tx.previews.live(limit=9)


async def test_checks_that_pass_are_evidence_for_the_served_revision(desk, boss, revision):
    answer = await desk.ready(boss, revision)
    verdict = await desk.verify(boss, answer.preview_id)
    assert verdict.passed
    assert [each["passed"] for each in verdict.results] == [True, True]
    assert verdict.results[0]["check"]["path"] == "/"
    assert "preview.verified" in await desk.events(boss)
    assert len(await desk.wakes(boss)) == 1, "the deploy's: a verdict is the call's own answer"


async def test_a_check_without_a_result_has_failed(desk, boss, revision):
    answer = await desk.ready(boss, revision)
    verdict = await desk.verify(boss, answer.preview_id, results=[{"passed": True}])
    assert not verdict.passed
    assert verdict.results[1]["failures"] == ["this check was not run"]


async def test_nothing_is_verified_before_something_is_served(desk, boss, revision):
    answer = await desk.deploy(boss, revision)
    request = VerifyRequest(checks=CHECKS)
    with pytest.raises(ChecksFailed, match="serves nothing"):
        await verifying.verify(desk.services, boss, answer.preview_id, request, None)


async def test_an_empty_list_of_checks_and_anothers_preview_are_refused(desk, boss, revision):
    answer = await desk.ready(boss, revision)
    with pytest.raises(InvalidArguments):
        await verifying.verify(desk.services, boss, answer.preview_id, VerifyRequest(), None)
    rival = await desk.start("rival")
    request = VerifyRequest(checks=CHECKS)
    with pytest.raises(PreviewClaimed):
        await verifying.verify(desk.services, rival, answer.preview_id, request, None)


async def test_who_no_longer_waits_is_told_of_checks_that_could_not_be_run(
    desk, boss, revision, monkeypatch
):
    answer = await desk.ready(boss, revision)
    monkeypatch.setattr(verifying, "WAIT_SECONDS", 0.01)
    request = VerifyRequest(checks=CHECKS)
    with pytest.raises(RelayUnavailable, match="as a message"):
        await verifying.verify(desk.services, boss, answer.preview_id, request, None)
    await desk.report(await desk.claim(), "failed", result={"diagnosis": "the proxy is gone"})
    told = (await desk.wakes(boss))[-1]
    assert "could not be run" in told.text
    assert "the proxy is gone" in told.text
    assert (await desk.preview(answer.preview_id)).serving == revision


async def test_exactly_the_proven_revision_is_merged_once(desk, boss, revision):
    evidence = await proven(desk, boss, revision)
    first = await desk.merge(boss, revision, evidence)
    again = await desk.merge(boss, revision, evidence)
    assert first.merge_sha == again.merge_sha == desk.forge.heads["acme/app", "main"]
    assert (await desk.events(boss)).count("merge.done") == 1


async def test_a_merged_branchs_preview_ends_sooner_and_one_with_a_newer_revision_does_not(
    desk, boss, revision
):
    evidence = await proven(desk, boss, revision)
    await desk.merge(boss, revision, evidence)
    [preview] = await live(desk)
    assert preview.expires_at == desk.clock() + timedelta(hours=24)
    newer = desk.push("two")
    await desk.ready(boss, newer)
    await desk.merge(boss, revision, evidence)
    [preview] = await live(desk)
    assert preview.expires_at == desk.clock() + timedelta(hours=72)


async def test_without_a_grant_nothing_is_merged(desk, boss, revision):
    answer = await desk.ready(boss, revision)
    evidence = (await desk.verify(boss, answer.preview_id)).evidence_id
    with pytest.raises(GrantMissing):
        await desk.merge(boss, revision, evidence)
    assert "merge.refused" in await desk.events(boss)


async def test_failed_checks_do_not_merge(desk, boss, revision):
    await desk.grant()
    answer = await desk.ready(boss, revision)
    evidence = (await desk.verify(boss, answer.preview_id, passed=False)).evidence_id
    with pytest.raises(ChecksFailed):
        await desk.merge(boss, revision, evidence)


async def test_evidence_of_another_revision_does_not_merge(desk, boss, revision):
    evidence = await proven(desk, boss, revision)
    newer = desk.push("two")
    with pytest.raises(ChecksFailed, match="verify that revision"):
        await desk.merge(boss, newer, evidence)
    with pytest.raises(MergeConflict, match="deploy and verify"):
        await desk.merge(boss, revision, evidence)


async def test_a_base_that_moved_is_brought_in_and_proven_first(desk, boss, revision):
    evidence = await proven(desk, boss, revision)
    desk.push("moved", "main")
    with pytest.raises(MergeConflict, match="has moved"):
        await desk.merge(boss, revision, evidence)


async def test_the_childs_contract_must_be_covered(desk, boss, revision):
    commit = desk.forge.commit("acme/specs", "main", {"sessions/one.md": CONTRACT})
    spec = SpecReference(
        repo=Repository("acme/specs"), path="sessions/one.md", commit=Revision(commit)
    )
    await desk.child(boss, spec)
    await desk.grant()
    answer = await desk.ready(boss, revision)
    partial = await desk.verify(boss, answer.preview_id, checks=CHECKS[:1])
    with pytest.raises(ChecksFailed, match="GET /healthz"):
        await desk.merge(boss, revision, partial.evidence_id)
    whole = await desk.verify(boss, answer.preview_id)
    assert (await desk.merge(boss, revision, whole.evidence_id)).merge_sha


async def test_a_crash_after_the_forge_merged_is_healed_by_the_repeat(
    desk, boss, revision, monkeypatch
):
    evidence = await proven(desk, boss, revision)

    async def crash(*_):
        raise ForgeUnavailable("the answer was lost")

    with monkeypatch.context() as patched:
        patched.setattr(merging, "_done", crash)
        with pytest.raises(ForgeUnavailable):
            await desk.merge(boss, revision, evidence)
    merged = desk.forge.heads["acme/app", "main"]
    assert (await desk.merge(boss, revision, evidence)).merge_sha == merged
    assert (await desk.events(boss)).count("merge.done") == 1


async def test_a_reservation_left_behind_is_settled_by_what_the_forge_has(
    desk, boss, revision, monkeypatch
):
    evidence = await proven(desk, boss, revision)

    async def crash(*_):
        raise ForgeUnavailable("the answer was lost")

    with monkeypatch.context() as patched:
        patched.setattr(merging, "_done", crash)
        with pytest.raises(ForgeUnavailable):
            await desk.merge(boss, revision, evidence)
    desk.clock.pass_(120)
    await desk.sweep()
    assert (await desk.events(boss)).count("merge.done") == 1


async def test_a_reservation_that_never_reached_the_forge_is_closed_and_may_be_asked_again(
    desk, boss, revision, monkeypatch
):
    evidence = await proven(desk, boss, revision)

    async def away(*_):
        raise ForgeUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(merging, "_act", away)
        with pytest.raises(ForgeUnavailable):
            await desk.merge(boss, revision, evidence)
    desk.clock.pass_(120)
    await desk.sweep()
    assert "merge.refused" in await desk.events(boss)
    assert (await desk.merge(boss, revision, evidence)).merge_sha


async def test_a_grant_for_once_survives_a_crash_and_serves_one_merge(
    desk, boss, revision, monkeypatch
):
    await desk.grant(GrantScope.ONCE)
    answer = await desk.ready(boss, revision)
    evidence = (await desk.verify(boss, answer.preview_id)).evidence_id

    async def away(*_):
        raise ForgeUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(merging, "_act", away)
        with pytest.raises(ForgeUnavailable):
            await desk.merge(boss, revision, evidence)
    assert (await desk.merge(boss, revision, evidence)).merge_sha


async def test_twin_merges_are_one(desk, boss, revision):
    evidence = await proven(desk, boss, revision)
    one, two = await asyncio.gather(
        desk.merge(boss, revision, evidence), desk.merge(boss, revision, evidence)
    )
    assert one.merge_sha == two.merge_sha
    assert (await desk.events(boss)).count("merge.done") == 1
