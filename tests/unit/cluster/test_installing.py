"""What an installation and a demo do on a cluster where one stands already, and where none does."""

import pytest
from remembered_cluster import ADDRESS, RememberedCluster, an_object

from infra.cluster import demo, installation, rendering, settings
from infra.cluster.announcement import announced
from infra.cluster.rendering import Wish
from infra.local.errors import AskedFailed, WrongUsage
from infra.local.state import StateDir

pytestmark = pytest.mark.real
LOCAL = Wish(overlay="local", prefix="x1/", tag="1")
PRODUCTION = Wish(overlay="production", prefix="x1/", tag="1")
NODE = an_object("Node", "one", spec={})
UNKNOWN_NAME = "dial tcp: lookup registry.x1-system.svc: no such host"


@pytest.fixture(autouse=True)
def kubectl_of_the_wheel(kubectl_on_path):
    pass


def said(_):
    pass


def standing(wish, **more):
    cluster = RememberedCluster(NODE, **more)
    installation.install(cluster, wish, said)
    cluster.applied.clear()
    return cluster


def played(cluster, wish, tmp_path, *, is_kept=False):
    state = StateDir(root=tmp_path)
    return demo.play(cluster, wish, ingress="", state=state, is_kept=is_kept)


def test_another_overlay_is_not_put_over_the_one_that_stands():
    cluster = standing(PRODUCTION)
    with pytest.raises(WrongUsage) as refused:
        installation.install(cluster, LOCAL, said)
    assert refused.value.expected.startswith("the overlay production, which trial at")
    assert "upgrade" in refused.value.then
    assert cluster.applied == []


def test_the_overlay_that_stands_is_installed_again():
    cluster = standing(LOCAL)
    installation.install(cluster, LOCAL, said)
    assert cluster.applied


def test_a_demo_leaves_an_installation_for_a_team_alone(tmp_path):
    cluster = standing(PRODUCTION)
    for wish in (LOCAL, PRODUCTION):
        with pytest.raises(WrongUsage):
            played(cluster, wish, tmp_path)
    assert cluster.applied == []
    assert rendering.installed(cluster).overlay == "production"


def test_a_demo_uses_the_installation_that_stands_and_says_so(tmp_path, capsys):
    cluster = standing(LOCAL, kubelet_says=UNKNOWN_NAME)
    with pytest.raises(demo.NodesDoNotPull):
        played(cluster, Wish(overlay="local", prefix="other/", tag="2"), tmp_path)
    assert "stands already, and is used as it is: overlay local, images x1/*:1" in (
        capsys.readouterr().out
    )
    assert {kind for kind, _ in cluster.applied} == {"Namespace", "Pod"}
    assert not [name for name in cluster.names("namespace") if name.startswith("x1-doctor")]


def test_a_demo_says_what_it_makes_and_where_before_it_makes_anything(tmp_path, capsys):
    cluster = RememberedCluster(NODE, kubelet_says=UNKNOWN_NAME)
    with pytest.raises(demo.NodesDoNotPull):
        played(cluster, LOCAL, tmp_path)
    before, _, _ = capsys.readouterr().out.partition("is ready")
    for word in ("trial at https://cluster.test", "x1-builds", "PriorityClass", "registry 50Gi"):
        assert word in before


def test_a_demo_whose_nodes_do_not_pull_says_the_remedy_and_keeps_the_registrys_address(tmp_path):
    cluster = RememberedCluster(NODE, kubelet_says=UNKNOWN_NAME)
    with pytest.raises(demo.NodesDoNotPull) as refused:
        played(cluster, LOCAL, tmp_path)
    assert f"echo 'server = \"http://{ADDRESS}:5000\"'" in refused.value.then
    assert rendering.installed(cluster) == installation.before(cluster, LOCAL)
    assert "registry" in cluster.names("service")


@pytest.mark.parametrize("is_kept", [True, False])
def test_what_a_demo_made_is_removed_unless_it_is_kept(tmp_path, is_kept):
    cluster = RememberedCluster(NODE)
    with pytest.raises(AskedFailed, match="an address in the status of gateway"):
        played(cluster, LOCAL, tmp_path, is_kept=is_kept)
    assert ("x1-system" in cluster.names("namespace")) is is_kept


def test_volumes_are_announced_with_their_copies(render_overlay):
    assert list(announced(render_overlay("production")))[-1] == "volumes: nats 3 × 10Gi"


def test_nodes_and_an_ingress_controller_are_let_in_where_the_settings_name_them():
    told = settings.read(None, node_networks=["10.0.0.0/16", "fd00::/48"], pages_from="public")
    policies = {
        each["metadata"]["name"]: each["spec"]["ingress"][0]
        for each in rendering.render(RememberedCluster(), told.wish())
        if each["kind"] == "NetworkPolicy"
        and each["metadata"]["namespace"] == "x1-system"
        and each["spec"].get("ingress")
    }
    blocks = [each["ipBlock"]["cidr"] for each in policies["relay-from-builds"]["from"][1:]]
    assert blocks == ["10.0.0.0/16", "fd00::/48"]
    public = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "public"}}}
    for name, port in (("relay", 8700), ("prefect", 4200)):
        assert public in policies[name]["from"]
        assert policies[name]["ports"] == [{"port": port}]


def test_a_network_that_is_none_is_refused():
    with pytest.raises(WrongUsage, match="node_networks"):
        settings.read(None, node_networks=["10.0.0.0/64"])
