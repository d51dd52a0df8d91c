"""Rolling back: to the newest revision that passed, proven like any deploy."""

import pytest

from sidecar.domain.errors import NothingVerified, PreviewClaimed
from sidecar.relay.previews import rolling_back


async def verified(desk, boss, revision, *, passed=True):
    answer = await desk.ready(boss, revision)
    await desk.verify(boss, answer.preview_id, passed=passed)
    return answer.preview_id


async def back(desk, claims, preview_id, key=None):
    return await rolling_back.roll_back_own(desk.services, claims, preview_id, key)


async def test_the_last_verified_revision_is_deployed_and_its_session_told(desk, boss, revision):
    preview_id = await verified(desk, boss, revision)
    broken = desk.push("two", start=revision)
    await verified(desk, boss, broken, passed=False)
    answer = await back(desk, boss, preview_id)
    assert (answer.revision, answer.serving, answer.status) == (revision, broken, "requested")
    bundle = await desk.claim()
    assert (bundle.kind, bundle.revision) == ("deploy", revision)
    await desk.report(bundle, "succeeded", result={"serving": revision})
    assert (await desk.preview(preview_id)).serving == revision
    assert revision in (await desk.wakes(boss))[-1].text


async def test_of_two_verified_revisions_it_is_the_one_that_is_not_served(desk, boss, revision):
    preview_id = await verified(desk, boss, revision)
    await verified(desk, boss, desk.push("two", start=revision))
    assert (await back(desk, boss, preview_id)).revision == revision


async def test_without_an_earlier_verified_revision_it_is_refused(desk, boss, revision):
    preview_id = await verified(desk, boss, revision)
    with pytest.raises(NothingVerified):
        await back(desk, boss, preview_id)
    assert (await desk.preview(preview_id)).serving == revision


async def test_a_repeated_call_is_one_rollback(desk, boss, revision):
    preview_id = await verified(desk, boss, revision)
    await verified(desk, boss, desk.push("two", start=revision))
    for _ in range(2):
        await back(desk, boss, preview_id, key="k")
    asked = [run for run in desk.prefect.runs.values() if run.name.startswith("deploy")]
    assert len(asked) == 3


async def test_another_trees_preview_is_not_rolled_back(desk, boss, revision):
    preview_id = await verified(desk, boss, revision)
    with pytest.raises(PreviewClaimed):
        await back(desk, await desk.start("rival"), preview_id)


async def test_an_operator_rolls_back_and_the_audit_names_them(desk, boss, revision):
    preview_id = await verified(desk, boss, revision)
    await verified(desk, boss, desk.push("two", start=revision))
    asked = await rolling_back.roll_back(desk.services, preview_id, "operator:ada")
    assert asked.revision == revision
    async with desk.services.store.transaction() as tx:
        entry = (await tx.audit.latest(limit=1))[0]
    assert (entry.actor, entry.action) == ("operator:ada", "preview.rollback")
