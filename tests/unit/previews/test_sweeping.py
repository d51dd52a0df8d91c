"""A sweep: what a cluster has against what the ledger says, judged on the ledger as it is now."""

from sidecar.relay.previews import releasing, sweeping
from sidecar.wire.preview_sweeps import PreviewRevision, ServedAnswer, ServedPreview, SweepRequest
from tasks.previews.kubernetes.inventory import Inventory
from tasks.previews.sweeping import difference


async def settle(desk, **report):
    return await sweeping.settle(desk.services, SweepRequest(nonce="n", **report))


async def served(desk):
    return (await sweeping.served(desk.services)).previews


async def test_what_is_served_and_found_is_left_alone(desk, boss, revision):
    preview_id = (await desk.ready(boss, revision)).preview_id
    assert await served(desk) == [ServedPreview(preview_id=preview_id, revision=revision)]
    assert await settle(desk, present=[preview_id]) == await settle(desk)


async def test_what_is_gone_is_deployed_again(desk, boss, revision):
    preview_id = (await desk.ready(boss, revision)).preview_id
    answer = await settle(desk, missing=await served(desk))
    assert answer.deployed_again == [preview_id]
    preview = await desk.preview(preview_id)
    assert (preview.status, preview.serving) == ("requested", None)
    bundle = await desk.claim()
    assert (bundle.kind, bundle.revision) == ("deploy", revision)
    await desk.report(bundle, "succeeded", result={"serving": revision})
    assert (await desk.preview(preview_id)).serving == revision


async def test_a_failed_previews_old_revision_that_is_gone_is_served_no_more(desk, boss, revision):
    preview_id = (await desk.ready(boss, revision)).preview_id
    await desk.deploy(boss, desk.push("two", start=revision))
    await desk.report(await desk.claim(), "failed", result={"diagnosis": "it broke"})
    assert (await settle(desk, missing=await served(desk))).deployed_again == []
    preview = await desk.preview(preview_id)
    assert (preview.status, preview.serving) == ("failed", None)


async def test_what_the_ledger_changed_since_it_was_looked_is_left_alone(desk, boss, revision):
    preview_id = (await desk.ready(boss, revision)).preview_id
    missing = await served(desk)
    await desk.ready(boss, desk.push("two", start=revision))
    assert (await settle(desk, missing=missing)).deployed_again == []
    await desk.deploy(boss, desk.push("three", start=revision))
    assert await served(desk) == []
    assert await settle(desk, missing=missing, present=[preview_id]) == await settle(desk)


async def test_what_was_let_go_and_is_still_there_is_released_by_an_operation(desk, boss, revision):
    preview_id = (await desk.ready(boss, revision)).preview_id
    await releasing.release(desk.services, preview_id, "operator:ada")
    assert (await settle(desk, present=[preview_id])).released == []
    await desk.report(await desk.claim(), "succeeded")
    assert (await settle(desk, present=[preview_id])).released == [preview_id]
    assert (await desk.claim()).kind == "release"


async def test_what_no_ledger_knows_is_for_the_sweep_to_remove_and_audited(desk):
    assert (await settle(desk, present=["stranger"])).strangers == ["stranger"]
    async with desk.services.store.transaction() as tx:
        (entry,) = await tx.audit.latest(limit=1)
    assert (entry.action, entry.target) == ("preview.remove", "stranger")


async def test_a_build_for_which_no_operation_waits_is_for_the_sweep_to_remove_and_audited(
    desk, boss, revision
):
    await desk.deploy(boss, revision)
    bundle = await desk.claim()
    assert (await settle(desk, building=[bundle.operation_id])).over == []
    await desk.report(bundle, "failed", result={"diagnosis": "it broke"})
    over = [bundle.operation_id, "stranger"]
    assert (await settle(desk, building=over)).over == over
    async with desk.services.store.transaction() as tx:
        entries = await tx.audit.latest(limit=2)
    assert {(each.action, each.target) for each in entries} == {
        ("build.remove", each) for each in over
    }


async def test_a_url_that_leads_to_another_revision_is_missing(desk, boss, revision):
    preview_id = (await desk.ready(boss, revision)).preview_id
    told = await sweeping.served(desk.services)
    right = Inventory(present=frozenset({preview_id}), serving={preview_id: revision})
    wrong = Inventory(present=frozenset({preview_id}), serving={preview_id: "f" * 40})
    assert difference("n", told, right).missing == []
    assert [each.preview_id for each in difference("n", told, wrong).missing] == [preview_id]


async def test_what_never_was_ready_goes_once_nobody_is_at_it(desk, boss, revision):
    preview_id = (await desk.ready(boss, revision)).preview_id
    broken, younger = desk.push("broken"), desk.push("younger")
    found = [PreviewRevision(preview_id=preview_id, revision=each) for each in (revision, broken)]
    await desk.deploy(boss, broken)
    bundle = await desk.claim()
    assert (await settle(desk, revisions=found)).unfinished == []
    await desk.report(bundle, "failed", result={"diagnosis": "given up"})
    assert (await settle(desk, revisions=found)).unfinished == found[1:]
    await desk.deploy(boss, younger)
    assert (await settle(desk, revisions=found)).unfinished == []


async def test_what_a_release_takes_down_is_not_taken_for_unfinished(desk, boss, revision):
    preview_id = (await desk.ready(boss, revision)).preview_id
    strange = PreviewRevision(preview_id="stranger", revision=revision)
    found = [PreviewRevision(preview_id=preview_id, revision="f" * 40), strange]
    await releasing.release(desk.services, preview_id, "operator:ada")
    await desk.report(await desk.claim(), "succeeded")
    assert (await settle(desk, revisions=found)).unfinished == []


def test_every_revision_that_was_found_is_told():
    found = Inventory(
        present=frozenset({"p"}), serving={}, revisions=frozenset({("p", "a"), ("p", "b")})
    )
    told = difference("n", ServedAnswer(previews=[]), found).revisions
    assert [(each.preview_id, each.revision) for each in told] == [("p", "a"), ("p", "b")]
