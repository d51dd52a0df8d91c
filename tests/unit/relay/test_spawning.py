"""Spawning: what is hired, what is refused, and that a repeat hires nobody."""

import asyncio

import pytest

from sidecar.domain.agent import AgentKind, Limits
from sidecar.domain.budget import Budget, ModelUsage
from sidecar.domain.errors import (
    AgentNotPermitted,
    BudgetExhausted,
    DepthExceeded,
    InvalidArguments,
    ItemClaimed,
    MissingSecrets,
    SpecInvalid,
    SpecNotCommitted,
)
from sidecar.domain.grant import GrantScope, GrantType
from sidecar.domain.ids import AgentSlug
from sidecar.domain.session import SessionStatus

COMMIT = "a" * 40
SPEC = """---
child: worker
repo: acme/code
branch: feat/x
scope: {in: [the page], out: [everything else]}
files: [index.html]
acceptance:
  - {method: GET, path: /, status: 200}
self_verification: [make test]
---
Build the page.
"""


async def test_a_child_hangs_under_its_caller_with_its_brief_as_first_wake(desk):
    boss = await desk.start()
    child_id = await desk.spawn(boss, brief="build it", branch="feat/x")
    child = await desk.session(child_id)
    assert (child.parent_session_id, child.root_session_id, child.depth) == (
        boss.session_id,
        boss.session_id,
        1,
    )
    assert child.status is SessionStatus.PENDING
    [wake] = await desk.undone(child_id)
    assert wake.text.startswith("build it")
    assert "feat/x" in wake.text
    assert "child.spawned" in await desk.events(boss.session_id)


async def test_the_childs_run_is_linked_under_its_callers_run(desk):
    boss = await desk.start()
    child = await desk.activate(await desk.spawn(boss))
    runs = {run.parameters.get("session_id"): run for run in desk.prefect.runs.values()}
    assert runs[child.session_id].parent == boss.holder.split("/")[0]
    assert runs[child.session_id].deployment == "session/worker"


async def test_a_repeated_call_hires_nobody_twice(desk):
    boss = await desk.start()
    first = await desk.spawn(boss, key="one")
    assert await desk.spawn(boss, key="one") == first
    twins = await asyncio.gather(*(desk.spawn(boss, key="two") for _ in range(4)))
    assert len({first, *twins}) == 2


async def test_without_a_grant_nobody_is_hired_and_the_refusal_is_audited(desk):
    worker = await desk.start("worker")
    await desk.agent(AgentSlug("other"), AgentKind.WORKER)
    with pytest.raises(AgentNotPermitted):
        await desk.spawn(worker, child_agent_id="other")
    async with desk.services.store.transaction() as tx:
        [entry, *_] = await tx.audit.latest(1)
    assert (entry.action, entry.allowed) == ("spawn", False)


async def test_a_grant_for_once_is_used_up(desk):
    other = AgentSlug("other")
    await desk.agent(other, AgentKind.WORKER)
    await desk.grant("boss", GrantType.SPAWN, other, scope=GrantScope.ONCE)
    boss = await desk.start()
    await desk.spawn(boss, child_agent_id=other)
    with pytest.raises(AgentNotPermitted):
        await desk.spawn(boss, child_agent_id=other)


@pytest.mark.parametrize("slug", ["boss", "nobody"])
async def test_nobody_hires_itself_or_somebody_unknown(desk, slug):
    await desk.grant("boss", GrantType.SPAWN, slug)
    boss = await desk.start()
    with pytest.raises(AgentNotPermitted):
        await desk.spawn(boss, child_agent_id=slug)


async def test_nobody_hires_an_ancestor(desk):
    await desk.grant("worker", GrantType.SPAWN, "boss")
    boss = await desk.start()
    worker = await desk.activate(await desk.spawn(boss))
    with pytest.raises(AgentNotPermitted, match="ancestor"):
        await desk.spawn(worker, child_agent_id="boss")


async def test_a_child_below_the_depth_limit_is_refused(desk):
    await desk.agent(AgentSlug("boss"), AgentKind.ORCHESTRATOR, limits=Limits(depth=0))
    with pytest.raises(DepthExceeded):
        await desk.spawn(await desk.start())


async def test_one_child_more_than_the_limit_is_refused(desk):
    await desk.agent(AgentSlug("boss"), AgentKind.ORCHESTRATOR, limits=Limits(children=2))
    boss = await desk.start()
    await desk.spawn(boss)
    await desk.spawn(boss)
    with pytest.raises(AgentNotPermitted, match="2 live children"):
        await desk.spawn(boss)


async def test_a_missing_secret_is_named_and_nobody_is_hired(desk):
    await desk.agent(AgentSlug("worker"), AgentKind.WORKER, requires_secrets=("SLACK_TOKEN",))
    boss = await desk.start()
    with pytest.raises(MissingSecrets, match="SLACK_TOKEN"):
        await desk.spawn(boss)
    (desk.services.settings.secrets_dir / "SLACK_TOKEN").write_text("value")
    await desk.spawn(boss)


async def test_a_child_gets_no_more_than_its_caller_has_left(desk):
    boss = await desk.start()
    await desk.change(boss.session_id, budget=Budget(usd=10), usage=(ModelUsage(model="m", usd=7),))
    child = await desk.session(await desk.spawn(boss, budget={"usd": 5}))
    assert child.budget.usd == 3
    await desk.change(boss.session_id, usage=(ModelUsage(model="m", usd=10),))
    with pytest.raises(BudgetExhausted):
        await desk.spawn(boss)


async def test_an_agent_that_has_spent_its_day_is_not_hired(desk):
    await desk.agent("worker", AgentKind.WORKER, budget=Budget(usd_per_day=5))
    boss = await desk.start()
    first = await desk.spawn(boss)
    await desk.change(first, usage=(ModelUsage(model="m", usd=5),))
    with pytest.raises(BudgetExhausted, match="today"):
        await desk.spawn(boss)
    desk.clock.pass_(86_400)
    await desk.spawn(boss)


async def test_a_budget_that_does_not_exist_is_refused(desk):
    boss = await desk.start()
    with pytest.raises(InvalidArguments, match=r"budget\.bananas"):
        await desk.spawn(boss, budget={"bananas": 3})


async def test_an_item_is_worked_on_by_one_tree_only(desk):
    await desk.agent(AgentSlug("rival"), AgentKind.ORCHESTRATOR)
    await desk.grant("rival", GrantType.SPAWN, "worker")
    boss, rival = await desk.start(), await desk.start("rival")
    await desk.spawn(boss, item="R-1")
    with pytest.raises(ItemClaimed):
        await desk.spawn(rival, item="R-1")
    async with desk.services.store.transaction() as tx:
        assert not await tx.sessions.children(rival.session_id)


class TestSpecs:
    """The contract precedes the hire: committed, on the branch, valid, and in agreement with the call."""

    spec = {"repo": "acme/code", "path": "sessions/x.md", "commit": COMMIT}

    def commit(self, desk, text=SPEC, head=COMMIT):
        desk.services.forge.heads["acme/code"] = head
        desk.files["acme/code", "sessions/x.md", COMMIT] = text.encode()

    async def test_a_committed_spec_follows_the_brief(self, desk):
        self.commit(desk)
        boss = await desk.start()
        child_id = await desk.spawn(boss, brief="look:", spec=self.spec)
        child = await desk.session(child_id)
        assert (child.branch, child.spec.commit) == ("feat/x", COMMIT)
        [wake] = await desk.undone(child_id)
        assert wake.text == f"look:\n\n{SPEC}"

    async def test_a_commit_that_is_not_on_the_branch_is_no_contract(self, desk):
        self.commit(desk, head="b" * 40)
        with pytest.raises(SpecNotCommitted):
            await desk.spawn(await desk.start(), spec=self.spec)

    async def test_a_file_that_is_not_in_the_commit_is_no_contract(self, desk):
        self.commit(desk)
        desk.files.clear()
        with pytest.raises(SpecNotCommitted):
            await desk.spawn(await desk.start(), spec=self.spec)

    async def test_a_spec_without_acceptance_is_refused(self, desk):
        self.commit(desk, SPEC.replace("  - {method: GET, path: /, status: 200}\n", "  []\n"))
        with pytest.raises(SpecInvalid):
            await desk.spawn(await desk.start(), spec=self.spec)

    async def test_a_repository_that_is_not_attached_is_not_read(self, desk):
        with pytest.raises(InvalidArguments, match="not attached"):
            await desk.spawn(await desk.start(), spec={**self.spec, "repo": "acme/other"})

    async def test_a_spec_for_somebody_else_is_refused(self, desk):
        self.commit(desk, SPEC.replace("child: worker", "child: other"))
        with pytest.raises(InvalidArguments, match="disagree"):
            await desk.spawn(await desk.start(), spec=self.spec)
