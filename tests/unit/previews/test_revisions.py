"""Which revisions of a preview stay in a cluster: what serves is never removed, what was never ready goes."""

import pytest
from kubernetes_objects import KubernetesObjects

from sidecar.domain.stamp import PLACE
from sidecar.wire.preview_spec import parse_preview
from sidecar.wire.preview_sweeps import PreviewRevision
from sidecar.wire.previews import OperationAnswer, OperationBundle
from tasks.builders.buildkit import BuildKit
from tasks.builders.image_source import BuildPlace
from tasks.previews import steps, sweeping
from tasks.previews.errors import NotProven
from tasks.previews.kubernetes.http_routes import HttpRoutes
from tasks.previews.kubernetes.ingresses import Ingresses
from tasks.previews.kubernetes.inventory import look
from tasks.previews.kubernetes.revision import of_revision
from tasks.previews.kubernetes.target import Installation, KubernetesTarget
from tasks.previews.operation import Operation
from tasks.previews.way import Way

A, B, C, D, E = ("a" * 40, "b" * 40, "c" * 40, "d" * 40, "e" * 40)
SPEC = """apiVersion: x1agent.io/v1
kind: PreviewSpec
metadata: {name: app}
spec: {entrypoint: {kind: dockerfile}}
"""
PREVIEW = "preview-of-app"


class Relay:
    async def report(self, _bundle, _progress):
        return OperationAnswer(lease_seconds=20)


class Branch:
    """A preview on a cluster in which nothing runs, and what the ledger would say of it."""

    def __init__(self, folder, routes):
        self.cluster = KubernetesObjects()
        installation = Installation(
            previews={"default": "previews", "team-b": "previews-of-b"},
            routes=routes,
        )
        api = self.cluster.api(folder)
        builder = BuildKit(api, BuildPlace(agent_image="x1/agent"))
        self.target = KubernetesTarget(api, builder, installation, Way())
        self.serving = ""
        self.proven = []

    @property
    def here(self):
        return self.target._namespaces["default"]

    @property
    def everywhere(self):
        return [*self.target._namespaces.values()]

    def operation(self, revision, **fields):
        bundle = OperationBundle(
            outcome="claimed",
            **{
                "preview_id": PREVIEW,
                "repo": "acme/app",
                "branch": "main",
                "revision": revision,
                "workspace": "default",
                "url": "https://app-main.previews.test",
                "alias_url": f"https://app-{revision[:8]}.previews.test",
                "serving": self.serving,
                "proven": self.proven,
                **fields,
            },
        )
        return Operation(bundle=bundle, relay=Relay(), stage="deploying")

    async def start(self, revision, **fields):
        """Without the proof: nothing runs."""
        one = self.operation(revision, **fields)
        spec = parse_preview(SPEC, abilities=self.target.abilities(one.bundle))
        await self.target._apply(one.bundle, spec, of_revision(one.bundle, spec, "image"))
        return one, spec

    async def switch(self, revision):
        one, spec = await self.start(revision)
        await steps.switch.fn(self.target, one, spec, "image")
        return one

    async def deploy(self, revision):
        one = await self.switch(revision)
        await steps.tidy.fn(self.target, one.bundle)
        self.serving = revision
        self.proven = list(dict.fromkeys([revision, *self.proven]))

    @property
    def there(self):
        found = self.cluster.of("Deployment", preview=PREVIEW)
        return {each["metadata"]["labels"]["x1flows.io/revision"] for each in found}

    @property
    def url_leads_to(self):
        (route,) = self.routes
        said, host = PROVEN[route["kind"]](route["spec"])
        assert route["metadata"]["annotations"]["x1flows.io/revision"] == said
        assert host == "app-main.previews.test"
        return said

    @property
    def routes(self):
        kind = self.target._routes.kind
        return self.cluster.of(kind, preview=PREVIEW, role="url")


def by_header(spec):
    (rule,) = spec["rules"]
    (header,) = rule["filters"][0]["responseHeaderModifier"]["set"]
    return header["value"], spec["hostnames"][0]


def by_stamp(spec):
    (rule,) = spec["rules"]
    return rule["http"]["paths"][0]["path"].removeprefix(PLACE), rule["host"]


PROVEN = {"HTTPRoute": by_header, "Ingress": by_stamp}


@pytest.fixture(
    params=[HttpRoutes(gateway="previews", namespace="gateway"), Ingresses()],
    ids=["gateway", "ingress"],
)
def branch(request, tmp_path, monkeypatch):
    """Its proxy follows at once, unless it says otherwise."""
    made = Branch(tmp_path, request.param)
    made.proxy_says = ""

    async def serves(*_):
        return made.proxy_says

    monkeypatch.setattr(steps, "serves", serves)
    monkeypatch.setattr(steps, "ROUTE_SECONDS", 0.0)
    return made


async def test_the_newest_three_that_were_ready_stay(branch):
    for each in (A, B, C, D):
        await branch.deploy(each)
    assert branch.there == {B, C, D}


async def test_what_served_until_now_stays_whenever_it_was_started(branch):
    for each in (A, B, A):
        await branch.deploy(each)
    for each in (C, D):
        await branch.start(each)
    await branch.deploy(E)
    assert branch.there == {A, B, E}


async def test_nothing_is_removed_before_the_proxy_is_proven_to_follow(branch):
    for each in (A, B, C):
        await branch.deploy(each)
    branch.proxy_says = "still the old one"
    with pytest.raises(NotProven):
        await branch.switch(D)
    assert branch.there == {A, B, C, D}


async def test_a_url_that_is_not_proven_leads_back_to_what_served_before(branch):
    await branch.deploy(A)
    branch.proxy_says = "still the old one"
    with pytest.raises(NotProven):
        await branch.switch(B)
    assert branch.url_leads_to == B
    await steps.give_back.fn(branch.target, branch.operation(B).bundle)
    assert branch.url_leads_to == A
    assert branch.there == {A}


async def test_a_first_revision_that_is_not_proven_leaves_no_url(branch):
    branch.proxy_says = "nobody"
    with pytest.raises(NotProven):
        await branch.switch(A)
    await steps.give_back.fn(branch.target, branch.operation(A).bundle)
    assert branch.routes == []
    assert branch.there == set()


async def test_what_failed_goes_and_with_it_what_was_superseded_in_its_start(branch):
    await branch.deploy(A)
    one, _ = await branch.start(B)
    two, _ = await branch.start(C)
    await steps.give_back.fn(branch.target, two.bundle)
    assert (branch.url_leads_to, branch.there) == (A, {A})
    assert one.bundle.revision not in branch.there


async def test_an_app_without_a_log_is_served_all_the_same(branch):
    """No pod is found here, so there is no log: the URL was proven, and that counts."""
    one = await branch.switch(A)
    with pytest.raises(NotProven):
        await branch.target.log(one.bundle, 50)
    assert branch.url_leads_to == A


async def test_a_sweep_sees_each_revision_of_which_anything_is_there(branch):
    await branch.deploy(A)
    await branch.start(B)
    found = await look(branch.here)
    assert found.revisions == {(PREVIEW, A), (PREVIEW, B)}
    unfinished = PreviewRevision(preview_id=PREVIEW, revision=B)
    await sweeping.remove_revision.fn([branch.here], unfinished)
    assert (branch.there, branch.url_leads_to) == ({A}, A)


OTHERS = {"workspace": "team-b", "preview_id": "preview-of-b", "branch": "theirs"}


async def test_a_preview_is_made_released_and_swept_in_its_workspaces_namespace_alone(branch):
    await branch.deploy(A)
    before = dict(branch.cluster.held)
    one, spec = await branch.start(B, **OTHERS)
    await branch.target.switch(one, spec, "image")
    made = branch.cluster.held.keys() - before.keys()
    assert made
    assert {path for path in made if "/namespaces/previews-of-b/" not in path} == set()
    mine, theirs, found = [
        await sweeping.inventory.fn(each)
        for each in (branch.everywhere[:1], branch.everywhere[1:], branch.everywhere)
    ]
    assert (mine.present, theirs.present) == ({PREVIEW}, {"preview-of-b"})
    assert found.serving == {PREVIEW: A, "preview-of-b": B}
    assert found.revisions == mine.revisions | theirs.revisions
    await branch.target.release(one.bundle)
    assert branch.cluster.held == before


async def test_a_sweep_removes_a_stranger_wherever_it_is(branch):
    await branch.deploy(A)
    before = dict(branch.cluster.held)
    await branch.start(B, **OTHERS)
    await sweeping.remove.fn(branch.everywhere, "preview-of-b")
    assert branch.cluster.held == before
    await branch.start(B, **OTHERS)
    left = PreviewRevision(preview_id="preview-of-b", revision=B)
    await sweeping.remove_revision.fn(branch.everywhere, left)
    assert {
        each["kind"] for each in branch.cluster.of("Deployment", preview="preview-of-b")
    } == set()
    assert branch.there == {A}


async def test_a_workspace_that_the_installation_does_not_have_is_refused_before_a_build(branch):
    one = branch.operation(A, workspace="team-c")
    spec = parse_preview(SPEC, abilities=branch.target.abilities(one.bundle))
    for asked in (
        branch.target.build(one, spec),
        branch.target.start(one, spec, "image"),
        branch.target.switch(one, spec, "image"),
    ):
        with pytest.raises(NotProven, match="workspace team-c is not among the installation's"):
            await asked
    assert branch.cluster.held == {}
    await branch.target.release(one.bundle)
