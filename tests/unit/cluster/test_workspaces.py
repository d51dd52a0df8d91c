"""One namespace of previews a workspace: all that the default one's has, and nothing that leads back to it."""

import json

import kubernetes_validate
import pytest
from remembered_cluster import RememberedCluster, an_object

from infra.cluster import installation, rendering, secrets, settings
from infra.cluster.rendering import Wish
from infra.local.errors import WrongUsage

pytestmark = pytest.mark.real
DEFAULT, TEAM = "x1-previews-default", "x1-previews-team-b"
TWO = '["default", "team-b"]'
ROUTES = ["gateway", "ingress"]
OURS = {"app.kubernetes.io/part-of": "x1flows"}


def space(each):
    metadata = each["metadata"]
    return metadata["name"] if each["kind"] == "Namespace" else metadata.get("namespace")


def inside(objects, namespace):
    return {
        (each["kind"], "" if each["kind"] == "Namespace" else each["metadata"]["name"]): each
        for each in objects
        if space(each) == namespace
    }


def wish(*names):
    return Wish(
        overlay="local",
        prefix="x1/",
        tag="1",
        values=settings.read(None, workspaces=list(names)).wish().values,
    )


@pytest.fixture
def cluster(kubectl_on_path):
    made = RememberedCluster()
    installation.install(made, wish("team-b"), print)
    return made


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("overlay", ["local", "production"])
def test_every_object_of_the_default_workspace_has_its_like_that_knows_only_its_own(
    render_overlay, overlay, route
):
    objects = render_overlay(overlay, workspaces=TWO, previews_route=route)
    mine, theirs = inside(objects, DEFAULT), inside(objects, TEAM)
    assert theirs.keys() == mine.keys()
    kinds = {kind for kind, _ in theirs}
    assert kinds >= {"Namespace", "ResourceQuota", "LimitRange", "Role", "RoleBinding"}
    assert ("Deployment" in kinds) is (route == "ingress")
    for each in theirs.values():
        assert DEFAULT not in json.dumps(each)
    labels = theirs["Namespace", ""]["metadata"]["labels"]
    assert labels["x1flows.io/workspace"] == "team-b"
    assert labels["x1flows.io/previews"] == "true"
    for key, each in theirs.items():
        assert each.get("spec") == mine[key].get("spec"), key
        assert each.get("rules") == mine[key].get("rules"), key
        assert each.get("subjects") == mine[key].get("subjects"), key


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_else_knows_a_workspaces_namespace_by_its_name(render_overlay, route):
    for each in render_overlay("local", workspaces=TWO, previews_route=route):
        if space(each) not in {DEFAULT, TEAM}:
            assert DEFAULT not in json.dumps(each), each["metadata"]
            assert TEAM not in json.dumps(each), each["metadata"]


@pytest.mark.parametrize("version", ["1.29", "1.36"])
def test_kubernetes_takes_a_workspaces_objects_strictly(render_overlay, version):
    objects = render_overlay("production", workspaces=TWO, previews_route="ingress")
    for each in inside(objects, TEAM).values():
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("told", [None, TWO])
def test_relay_and_preview_pool_are_told_which_workspaces_there_are(render_overlay, told):
    objects = render_overlay("local", **({"workspaces": told} if told else {}))
    (relay,) = [
        each["data"]
        for each in objects
        if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", "relay")
    ]
    (job,) = [each for each in objects if each["kind"] == "Job"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    said = {each["name"]: each.get("value") for each in container["env"]}
    assert said["X1_WORKSPACES"] == relay["X1_WORKSPACES"] == (told or '["default"]')


def test_what_lies_beside_the_default_workspaces_previews_lies_beside_the_others():
    whole = secrets.completed({secrets.WORKSPACES: "default team-b", secrets.PULL_LOGIN: "{}"})
    parts = secrets.parts(whole)
    beside = {
        space: {(each.name, each.type): each.content for each in parts if each.namespace == space}
        for space in (DEFAULT, TEAM)
    }
    assert {name for name, _ in beside[TEAM]} == {secrets.STAMPS, secrets.PULL}
    assert beside[TEAM] == beside[DEFAULT]


def test_without_a_word_there_is_the_default_workspace():
    assert settings.read(None).workspaces == ("default",)
    assert settings.read(None).wish().workspaces == ("default",)
    assert settings.read(None, workspaces=[]).wish() == settings.read(None).wish()


def test_the_default_workspace_is_always_there_and_nobody_twice():
    asked = settings.read(None, workspaces=["team-b", "team-a", "team-b"])
    assert asked.wish().workspaces == ("default", "team-a", "team-b")


@pytest.mark.parametrize("name", ["Team", "team_b", "-b", "b-", "", "a.b", "a\n", "x" * 52])
def test_a_workspace_that_can_be_no_namespace_is_refused_and_named(name):
    with pytest.raises(WrongUsage) as refused:
        settings.read(None, workspaces=["fine", name])
    assert "workspaces.1" in refused.value.came
    assert "at most 51 of a-z" in refused.value.came
    assert repr(name) in refused.value.came


def test_the_longest_name_makes_the_longest_namespace():
    assert settings.read(None, workspaces=["x" * 51]).workspaces == ("default", "x" * 51)


def test_an_upgrade_keeps_the_workspaces(cluster):
    kept = rendering.installed(cluster)
    assert kept.workspaces == ("default", "team-b")
    installation.install(cluster, kept, print)
    assert TEAM in cluster.names("namespace")
    assert ("secret", TEAM, secrets.STAMPS) in cluster.objects


def a_policy_of_a_preview(namespace):
    labels = {**OURS, "app.kubernetes.io/component": "preview", "x1flows.io/preview": "0199"}
    notes = {"x1flows.io/repo": "acme/app", "x1flows.io/branch": "feat/one"}
    metadata = {"labels": labels, "annotations": notes}
    return an_object("NetworkPolicy", "p-app", namespace, metadata=metadata)


def test_a_workspace_that_is_left_out_and_holds_nothing_goes_with_its_namespace(cluster):
    changes = installation.install(cluster, wish(), print)
    assert TEAM not in cluster.names("namespace")
    assert DEFAULT in cluster.names("namespace")
    assert not [key for key in cluster.objects if key[1] == TEAM]
    assert any(TEAM in each and "gone" in each for each in changes)
    assert TEAM not in cluster.get("configmap", "x1-objects", "x1-system")["data"]["objects"]


def test_a_workspace_that_is_left_out_and_holds_previews_stops_the_upgrade_before_anything(cluster):
    cluster._keep(a_policy_of_a_preview(TEAM))
    cluster.applied.clear()
    with pytest.raises(WrongUsage) as refused:
        installation.install(cluster, wish(), print)
    assert "0199 (acme/app@feat/one)" in refused.value.came
    assert "x1 previews release" in refused.value.then
    assert cluster.applied == []
    assert TEAM in cluster.names("namespace")
    assert rendering.installed(cluster).workspaces == ("default", "team-b")


@pytest.mark.parametrize(
    "labels",
    [
        {"x1flows.io/previews": "true"},
        {"x1flows.io/previews": "true", "x1flows.io/workspace": "theirs", **OURS},
    ],
)
def test_a_namespace_that_is_not_a_workspaces_is_left_alone(cluster, labels):
    """Whoever has routes of their own behind the Gateway labels their namespace as it asks for."""
    cluster._keep(an_object("Namespace", "theirs", metadata={"labels": labels}))
    installation.install(cluster, wish(), print)
    assert "theirs" in cluster.names("namespace")
