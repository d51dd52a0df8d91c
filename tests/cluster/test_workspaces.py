"""A second workspace on a cluster: its previews are in its own namespace, which is never taken from under them.

The test bed's settings name it, and the installation is left with it.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from clusters import X1, images, listed, refused, run, until
from outside import Outside
from shops import PREVIEWS, REPO, hired, keeper_of, left_of

from sidecar.domain.workspace import previews_namespace, unknown

pytestmark = pytest.mark.timeout(900)
TEAM = "team-b"
SPACE = previews_namespace(TEAM)
OURS = ("-l", "app.kubernetes.io/part-of=x1flows")


@pytest.fixture(scope="module")
def keeper(cluster):
    with hired(cluster, TEAM) as found:
        yield found


@pytest.fixture(scope="module")
def shop(keeper):
    return keeper.opened("built")


@pytest.fixture
def without_team(installed, tmp_path):
    """The test bed's settings but for its workspace, beside the files that they name."""
    told = Path(os.environ["X1_TEST_SETTINGS"])
    shutil.copytree(told.parent, tmp_path / "bed")
    file = tmp_path / "bed" / told.name
    settings = yaml.safe_load(file.read_text())
    settings["workspaces"].remove(TEAM)
    file.write_text(yaml.safe_dump(settings))
    return file


@pytest.fixture
def team_comes_back(installed):
    """Whatever happens: other tests need it."""
    yield
    install()


def install(*options):
    """What it changed. A later `--settings` wins."""
    told = run(X1, "cluster", "install", *images(), *map(str, options), "--json", seconds=600)
    return json.loads(told)["changed"]


def standing():
    """What an installation makes, with what changes when it is changed; status does not count."""
    kinds = "namespaces,configmaps,networkpolicies,roles,rolebindings,deployments,statefulsets"
    found = [each["metadata"] | {"kind": each["kind"]} for each in listed(kinds, "-A", *OURS)]
    return {
        (each["kind"], each.get("namespace"), each["name"]): each.get("generation")
        or each["resourceVersion"]
        for each in found
    }


def manifests(space):
    """By kind and name: what an installation puts into a workspace's namespace."""
    kinds = "networkpolicies,roles,rolebindings,resourcequotas,limitranges,secrets,configmaps"
    return {
        (each["kind"], each["metadata"]["name"])
        for each in listed(kinds, "-n", space, *OURS)
        if "x1flows.io/preview" not in each["metadata"]["labels"]
    }


def there_is_its_namespace():
    return bool(listed("namespaces", f"--field-selector=metadata.name={SPACE}"))


def test_its_namespace_holds_what_the_default_ones_holds(installed):
    assert manifests(SPACE) == manifests(PREVIEWS) != set()


def test_all_of_its_preview_is_in_its_own_namespace(shop):
    found = [each.split() for each in left_of(shop)]
    assert {space for space, _ in found} == {SPACE}
    kinds = {name.partition("/")[0] for _, name in found}
    assert kinds >= {"Deployment", "Pod", "Service", "NetworkPolicy", "HTTPRoute"}


def test_its_preview_answers_over_tls(shop, keeper, tmp_path):
    answer = Outside.with_authority_in(tmp_path).asked(shop.url)
    assert (answer.status_code, answer.headers["x-x1-revision"]) == (200, shop.revision)
    assert shop.name in answer.text
    assert keeper.visited(shop.url).startswith(f"200 {shop.revision} ")


def test_an_agent_of_a_workspace_that_is_not_there_is_refused_and_told_what_to_do(
    cluster, tmp_path
):
    command = cluster.command("agents", "apply", str(keeper_of("team-z", tmp_path)))
    assert unknown("team-z") in refused(*command)
    assert "shopkeeper-team-z" not in json.dumps(cluster.get("/api/agents"))


def test_it_is_not_left_out_while_it_holds_a_preview(shop, without_team):
    before = standing()
    options = ("--settings", str(without_team))
    said = refused(X1, "cluster", "install", *images(), *options, seconds=300)
    assert f"{shop.preview_id} ({REPO}@shop/{shop.name})" in said
    assert "x1 previews release" in said
    assert standing() == before


def test_it_goes_with_its_namespace_when_it_is_left_out_and_comes_back_when_it_is_named(
    cluster, shop, keeper, without_team, team_comes_back
):
    before = manifests(SPACE)
    cluster.x1("previews", "release", shop.preview_id)
    until(lambda: not left_of(shop), f"the removal of {shop.name}")
    assert any(SPACE in each for each in install("--settings", without_team))
    assert not there_is_its_namespace()
    again = cluster.command("agents", "apply", str(keeper_of(TEAM, without_team.parent)))
    assert unknown(TEAM) in refused(*again)

    install()
    assert manifests(SPACE) == before
    new = keeper.opened("plain")
    assert {each.split()[0] for each in left_of(new)} == {SPACE}
