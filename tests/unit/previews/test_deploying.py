"""Deploys: what is accepted, whose a preview is, and that dead runs and twins change nothing."""

import asyncio

import pytest

from sidecar.domain.errors import (
    DiskFull,
    Forbidden,
    LeaseLost,
    PreviewClaimed,
    RevisionNotOnBranch,
    SpecInvalid,
)
from sidecar.domain.ids import PreviewId
from sidecar.domain.preview import OperationKind, OperationState, PreviewStatus
from sidecar.domain.session import SessionStatus
from sidecar.relay.loops.collector import collect
from sidecar.relay.prefect import RunPhase
from sidecar.relay.previews import deploying, loop, operating, reading, releasing, validating
from sidecar.wire.previews import DeployRequest, OperationClaim, ValidateRequest


async def test_a_deploy_has_its_url_at_once_and_a_run_under_its_callers(desk, boss, revision):
    answer = await desk.deploy(boss, revision)
    assert answer.status == "requested"
    assert answer.url == "http://app-feat-one.localhost:8800"
    assert answer.alias_url == f"http://app-{revision[:8]}.localhost:8800"
    run = next(run for run in desk.prefect.runs.values() if run.deployment == "preview/preview")
    operation = await desk.open_operation()
    assert run.parameters == {"operation_id": operation.id}
    assert run.key == f"{operation.id}:1"
    callers = next(each for each in desk.prefect.runs.values() if each.name == "run")
    assert run.parent == callers.id


async def test_on_a_nearly_full_disk_nothing_is_deployed_until_there_is_room(
    desk, boss, revision, tmp_path
):
    desk.services.settings.watched_disk = tmp_path
    desk.services.settings.least_free_bytes = 1 << 62
    with pytest.raises(DiskFull):
        await desk.deploy(boss, revision)
    desk.services.settings.least_free_bytes = 0
    assert (await desk.deploy(boss, revision)).status == "requested"


async def test_a_finished_deploy_is_ready_and_wakes_its_session_once(desk, boss, revision):
    answer = await desk.deploy(boss, revision)
    bundle = await desk.claim()
    assert bundle.spec_text.startswith("apiVersion")
    assert bundle.git_token.get_secret_value() == "token-acme/app-read"
    await desk.report(bundle, "building", log=["$ make"])
    await desk.report(bundle, "deploying")
    for _ in range(2):
        await desk.report(bundle, "succeeded", result={"serving": revision})
    preview = await desk.preview(answer.preview_id)
    assert (preview.status, preview.serving) == (PreviewStatus.READY, revision)
    [wake] = await desk.wakes(boss)
    assert wake.payload["preview_id"] == answer.preview_id
    assert [each for each in await desk.events(boss) if each.startswith("preview.")] == [
        "preview.requested",
        "preview.building",
        "preview.deploying",
        "preview.ready",
    ]
    lines = await reading.logs(desk.services, boss, PreviewId(preview.id), "build", 10)
    assert lines.lines == ["$ make"]


async def test_what_happened_to_a_preview_is_read_from_where_its_reader_stopped(
    desk, boss, revision
):
    answer = await desk.ready(boss, revision)
    await desk.ready(boss, desk.push("main two", "main"), branch="main")
    preview = PreviewId(answer.preview_id)
    told = (await reading.events(desk.services, boss, preview, 0)).events
    assert [each["type"] for each in told] == ["preview.requested", "preview.ready"]
    rest = (await reading.events(desk.services, boss, preview, told[0]["sequence"])).events
    assert [each["type"] for each in rest] == ["preview.ready"]
    assert rest[0]["url"] == answer.url


async def test_a_failure_tells_why_and_leaves_the_old_revision_serving(desk, boss, revision):
    await desk.ready(boss, revision)
    worse = desk.push("worse")
    answer = await desk.deploy(boss, worse)
    await desk.report(await desk.claim(), "failed", result={"diagnosis": "building: exit 2"})
    preview = await desk.preview(answer.preview_id)
    assert (preview.status, preview.serving) == (PreviewStatus.FAILED, revision)
    assert preview.diagnosis == "building: exit 2"
    assert "exit 2" in (await desk.wakes(boss))[-1].text


async def test_a_caller_that_waits_gets_the_end_as_its_answer_and_no_wake(desk, boss, revision):
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(desk.deploy(boss, revision, wait_seconds=30))
        while len(desk.prefect.runs) < 2:
            await asyncio.sleep(0)
        await desk.report(await desk.claim(), "succeeded")
    assert waiting.result().status == "ready"
    assert await desk.wakes(boss) == []


async def test_a_caller_that_waited_too_short_is_woken(desk, boss, revision):
    assert (await desk.deploy(boss, revision, wait_seconds=0.01)).status == "requested"
    await desk.report(await desk.claim(), "succeeded")
    assert len(await desk.wakes(boss)) == 1


async def test_a_repeat_and_the_same_revision_again_are_one_deploy(desk, boss, revision):
    first = await desk.deploy(boss, revision, "key")
    again = await desk.deploy(boss, revision, "key")
    other = await desk.deploy(boss, revision, "another key")
    assert first.preview_id == again.preview_id == other.preview_id
    await desk.report(await desk.claim(), "succeeded")
    assert (await desk.deploy(boss, revision)).status == "ready"
    assert sum(run.deployment == "preview/preview" for run in desk.prefect.runs.values()) == 1


async def test_a_newer_revision_replaces_what_is_still_being_deployed(desk, boss, revision):
    answer = await desk.deploy(boss, revision)
    old = await desk.claim()
    newer = desk.push("two")
    await desk.deploy(boss, newer)
    assert (await desk.report(old, "deploying")).cancelled
    assert (await desk.report(old, "succeeded")).cancelled
    await desk.report(await desk.claim("nonce-two"), "succeeded")
    assert (await desk.preview(answer.preview_id)).serving == newer


async def test_only_what_is_on_the_branch_is_deployed(desk, boss, revision, main):
    elsewhere = desk.push("elsewhere", "feat/two", start=main)
    with pytest.raises(RevisionNotOnBranch):
        await desk.deploy(boss, elsewhere)
    with pytest.raises(RevisionNotOnBranch):
        await desk.deploy(boss, revision, branch="no/such")
    desk.push("later")
    assert (await desk.deploy(boss, revision)).revision == revision


async def test_a_repository_that_is_not_attached_is_refused(desk, boss):
    request = DeployRequest(repo="acme/other", branch="main", commit_sha="a" * 40)
    with pytest.raises(Forbidden):
        await deploying.deploy(desk.services, boss, request, None)


async def test_a_revision_without_a_spec_is_told_how_to_write_one(desk, boss, main):
    bare = desk.forge.commit("acme/app", "bare", {"page": b"x"})
    with pytest.raises(SpecInvalid, match="entrypoint"):
        await desk.deploy(boss, bare, branch="bare")
    request = ValidateRequest(repo="acme/app", revision=bare)
    answer = await validating.validate(desk.services, boss, request)
    assert not answer.ok
    assert answer.errors[0]["path"] == ".x1agent/preview.yaml"


async def test_another_tree_is_refused_with_the_holders_name_until_it_lets_go(desk, boss, revision):
    answer = await desk.ready(boss, revision)
    rival = await desk.start("rival")
    with pytest.raises(PreviewClaimed, match=boss.session_id):
        await desk.deploy(rival, revision)
    await releasing.release_own(desk.services, boss, PreviewId(answer.preview_id), "key")
    await desk.report(await desk.claim(), "succeeded")
    assert (await desk.deploy(rival, revision)).owner_session_id == rival.session_id


async def test_a_tree_that_has_ended_holds_nothing(desk, boss, revision):
    await desk.ready(boss, revision)
    await desk.change(boss.session_id, status=SessionStatus.CANCELLED)
    rival = await desk.start("rival")
    assert (await desk.deploy(rival, revision)).owner_session_id == rival.session_id


async def test_two_branches_that_look_alike_have_two_urls(desk, boss, revision, main):
    one = await desk.deploy(boss, revision)
    alike = desk.push("alike", "feat-one", start=main)
    other = await desk.deploy(boss, alike, branch="feat-one")
    assert one.url != other.url


async def test_an_absent_prefect_delays_a_deploy_and_loses_none(desk, boss, revision):
    desk.prefect.is_away = True
    await desk.deploy(boss, revision)
    desk.prefect.is_away = False
    await desk.sweep()
    assert (await desk.open_operation()).flow_run_id is not None


async def test_a_run_that_dies_is_replaced_and_fenced_off(desk, boss, revision):
    await desk.deploy(boss, revision)
    dead = await desk.claim()
    first = (await desk.open_operation()).flow_run_id
    desk.prefect.move(first, RunPhase.FINAL, "Crashed")
    await desk.sweep()
    operation = await desk.open_operation()
    assert (operation.attempt, operation.state) == (2, OperationState.REQUESTED)
    assert operation.flow_run_id != first
    with pytest.raises(LeaseLost):
        await desk.report(dead, "succeeded")
    await desk.report(await desk.claim("nonce-two"), "succeeded")
    assert len(await desk.wakes(boss)) == 1


async def test_a_run_that_falls_silent_is_replaced_after_a_whole_lease(desk, boss, revision):
    await desk.deploy(boss, revision)
    await desk.claim()
    for _ in range(30):
        desk.clock.pass_(1)
        await desk.sweep()
    assert (await desk.open_operation()).attempt == 2


async def test_after_three_runs_the_deploy_has_failed_and_its_session_is_told(desk, boss, revision):
    answer = await desk.deploy(boss, revision)
    for _ in range(3):
        run = (await desk.open_operation()).flow_run_id
        desk.prefect.move(run, RunPhase.FINAL, "Crashed")
        await desk.sweep()
    assert (await desk.preview(answer.preview_id)).status is PreviewStatus.FAILED
    assert "3 flow runs" in (await desk.wakes(boss))[0].text


async def test_a_person_who_cancels_the_run_ends_the_deploy(desk, boss, revision):
    answer = await desk.deploy(boss, revision)
    run = (await desk.open_operation()).flow_run_id
    desk.prefect.move(run, RunPhase.CANCELLED, "Cancelled")
    await desk.sweep()
    assert "cancelled" in (await desk.preview(answer.preview_id)).diagnosis


async def test_a_run_that_prefect_does_not_say_is_running_claims_nothing(desk, boss, revision):
    await desk.deploy(boss, revision)
    operation = await desk.open_operation()
    desk.prefect.move(operation.flow_run_id, RunPhase.FINAL, "Crashed")
    request = OperationClaim(flow_run_id=operation.flow_run_id, nonce="nonce-one")
    assert (await operating.claim(desk.services, operation.id, request)).outcome == "lost"


async def test_an_idle_preview_expires_and_is_taken_down(desk, boss, revision):
    answer = await desk.ready(boss, revision)
    desk.clock.pass_(73 * 3600)
    await desk.sweep()
    assert (await desk.preview(answer.preview_id)).status is PreviewStatus.EXPIRED
    operation = await desk.open_operation()
    assert operation.kind is OperationKind.RELEASE
    await desk.sweep()
    assert "preview.expired" in await desk.events(boss)


async def test_an_old_preview_expires_however_many_younger_ones_there_are(
    desk, boss, revision, monkeypatch
):
    monkeypatch.setattr(loop, "MOST_PREVIEWS", 1)
    old = await desk.ready(boss, revision)
    desk.clock.pass_(3600)
    await desk.ready(boss, desk.push("young", "feat/young", start=revision), branch="feat/young")
    desk.clock.pass_(72 * 3600 - 1800)
    await desk.sweep()
    assert (await desk.preview(old.preview_id)).status is PreviewStatus.EXPIRED


async def test_a_deploy_waits_for_a_release_that_runs(desk, boss, revision):
    answer = await desk.ready(boss, revision)
    await releasing.release_own(desk.services, boss, PreviewId(answer.preview_id), None)
    releasing_run = await desk.claim()
    await desk.deploy(boss, revision)
    await desk.sweep()
    assert (await desk.open_operation()).flow_run_id is None
    await desk.report(releasing_run, "succeeded")
    await desk.sweep()
    assert (await desk.open_operation()).flow_run_id is not None


async def test_a_run_is_told_what_serves_and_what_was_ready_before_the_last_deploy_first(
    desk, boss, revision
):
    two, three, four = (desk.push(name) for name in ("two", "three", "four"))
    for each in (revision, two, revision):
        await desk.ready(boss, each)
    await desk.deploy(boss, three)
    await desk.report(await desk.claim(), "failed", result={"diagnosis": "it broke"})
    await desk.deploy(boss, four)
    bundle = await desk.claim()
    assert (bundle.serving, bundle.proven) == (revision, [revision, two])


async def test_an_old_revisions_alias_is_never_given_to_another_branch(desk, boss, revision, main):
    first = await desk.ready(boss, revision)
    await desk.ready(boss, desk.push("two"))
    desk.push("three", "feat/two", start=revision)
    second = await desk.ready(boss, revision, branch="feat/two")
    assert second.alias_url not in {first.alias_url, first.url}
    assert (await desk.ready(boss, revision)).alias_url == first.alias_url


async def test_a_branch_that_is_named_like_an_alias_does_not_get_it(desk, boss, revision, main):
    first = await desk.ready(boss, revision)
    named = desk.push("named", revision[:8], start=main)
    second = await desk.ready(boss, named, branch=revision[:8])
    assert second.url != first.alias_url


async def test_a_previews_log_keeps_as_many_lines_as_can_be_asked_for(
    desk, boss, revision, monkeypatch
):
    monkeypatch.setattr(operating, "KEPT_LINES", 3)
    answer = await desk.deploy(boss, revision)
    said = [f"line {number}" for number in range(5)]
    await desk.report(await desk.claim(), "failed", log=said, result={"diagnosis": "no"})
    await desk.deploy(boss, desk.push("two"))
    await desk.report(await desk.claim(), "building", log=["$ make"])
    lines = await reading.logs(desk.services, boss, PreviewId(answer.preview_id), "build", 10)
    assert lines.lines == [*said[2:], "$ make"]


async def test_the_log_of_a_preview_that_was_let_go_long_ago_is_collected(desk, boss, revision):
    answer = await desk.deploy(boss, revision)
    await desk.report(await desk.claim(), "succeeded", log=["$ make"])
    preview_id = PreviewId(answer.preview_id)
    await releasing.release_own(desk.services, boss, preview_id, None)
    await desk.report(await desk.claim(), "succeeded")

    async def collected(days):
        desk.clock.pass_(days * 24 * 3600)
        await collect(desk.services)
        async with desk.services.store.transaction() as tx:
            return not await tx.previews.log(preview_id, "build", tail=9)

    retention = desk.services.settings.state_retention_days
    assert not await collected(retention - 1)
    assert await collected(2)


async def test_a_release_waits_until_a_superseded_run_was_told(desk, boss, revision):
    answer = await desk.deploy(boss, revision)
    deploying_run = await desk.claim()
    await releasing.release_own(desk.services, boss, PreviewId(answer.preview_id), None)
    await desk.sweep()
    assert (await desk.open_operation()).flow_run_id is None
    assert (await desk.report(deploying_run, "deploying")).cancelled
    await desk.sweep()
    assert (await desk.open_operation()).flow_run_id is not None


async def test_a_release_waits_for_a_dead_superseded_run_no_longer_than_its_lease(
    desk, boss, revision
):
    answer = await desk.deploy(boss, revision)
    await desk.claim()
    await releasing.release_own(desk.services, boss, PreviewId(answer.preview_id), None)
    desk.clock.pass_(21)
    await desk.sweep()
    assert (await desk.open_operation()).flow_run_id is not None
