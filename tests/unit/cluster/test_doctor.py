"""What the doctor says of nodes that limit no processes, of neighbours behind the controller, of nodes that do not pull."""

import pytest
from remembered_cluster import RememberedCluster, an_object

from infra.cluster.doctor import neighbours, processes, pulling
from infra.cluster.doctor.finding import Level

NODES = [an_object("Node", name, spec={}) for name in ("one", "two")]
GROUP = "gateway.networking.k8s.io"


@pytest.fixture(autouse=True)
def kubectl_of_the_wheel(kubectl_on_path):
    pass


def test_a_node_whose_kubelet_limits_no_processes_is_named():
    limits = {"one": {"podPidsLimit": 4096}, "two": {"podPidsLimit": -1}}
    finding = processes.limits(RememberedCluster(*NODES, configz=limits))
    assert (finding.level, finding.came) == (Level.WARNING, "none on two")
    assert "podPidsLimit: 4096" in finding.remedy


def test_limits_on_every_node_are_well():
    limits = {"one": {"podPidsLimit": 4096}, "two": {"podPidsLimit": 1024}}
    finding = processes.limits(RememberedCluster(*NODES, configz=limits))
    assert (finding.level, finding.came) == (Level.OK, "1024 or more on each of 2")


def test_a_kubelet_that_says_nothing_is_no_good_news():
    finding = processes.limits(RememberedCluster(*NODES, configz={"one": {"podPidsLimit": 9}}))
    assert finding.level is Level.UNKNOWN
    assert "two" in finding.came


OURS = an_object("Namespace", "x1-gateway", metadata={})
DOOR = an_object("Gateway", "previews", "x1-gateway", spec={"gatewayClassName": "shared"})
INGRESS_DOOR = an_object("Ingress", "previews", "x1-gateway", spec={"ingressClassName": "shared"})
CLASSES = [
    an_object("CustomResourceDefinition", f"gatewayclasses.{GROUP}"),
    an_object("GatewayClass", "shared", spec={"controllerName": "maker.io/gateway"}),
    an_object("GatewayClass", "other", spec={"controllerName": "else.io/gateway"}),
    an_object("IngressClass", "shared", spec={"controller": "maker.io/ingress"}),
    an_object("IngressClass", "other", spec={"controller": "else.io/ingress"}),
]


def with_label(namespace):
    labels = {"app.kubernetes.io/part-of": "x1flows"}
    return {**namespace, "metadata": {**namespace["metadata"], "labels": labels}}


def gateway(name, kind, **status):
    return an_object("Gateway", name, "shop", spec={"gatewayClassName": kind}, status=status)


def route(name, parent):
    return an_object("HTTPRoute", name, "shop", spec={"parentRefs": [{"name": parent}]})


def site(name, kind, **status):
    return an_object("Ingress", name, "shop", spec={"ingressClassName": kind}, status=status)


def behind(*objects, door=DOOR):
    cluster = RememberedCluster(with_label(OURS), door, *CLASSES, *objects)
    return neighbours.behind(cluster, [door])


@pytest.mark.parametrize("door", [DOOR, INGRESS_DOOR])
def test_other_teams_sites_behind_the_previews_controller_are_named(door):
    finding = behind(
        *(gateway("front", "shared"), route("till", "front"), site("desk", "shared")),
        *(gateway("back", "other"), route("safe", "back"), site("shed", "other")),
        door=door,
    )
    assert (finding.level, finding.came) == (
        Level.WARNING,
        "HTTPRoute shop/till, Ingress shop/desk",
    )
    assert "gateway_class" in finding.remedy


def test_an_ingress_without_a_class_has_the_default_one():
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"}
    default = an_object("IngressClass", "shared", spec={"controller": "maker.io/ingress"})
    default["metadata"]["annotations"] = annotations
    finding = behind(default, an_object("Ingress", "desk", "shop", spec={}))
    assert finding.came == "Ingress shop/desk"


def test_a_second_controller_of_the_same_maker_is_told_by_its_address():
    door = {**DOOR, "status": {"addresses": [{"value": "10.0.0.1"}]}}
    front = gateway("front", "shared", addresses=[{"value": "10.0.0.2"}])
    desk = site("desk", "shared", loadBalancer={"ingress": [{"ip": "10.0.0.2"}]})
    assert behind(front, route("till", "front"), desk, door=door).level is Level.OK


def test_our_own_routes_are_no_neighbours():
    own = an_object("HTTPRoute", "app", "x1-previews", spec={"parentRefs": [{"name": "previews"}]})
    assert behind(own).level is Level.OK


def test_a_class_that_is_not_there_tells_nothing():
    door = an_object("Gateway", "previews", "x1-gateway", spec={"gatewayClassName": "none"})
    assert behind(door=door).level is Level.UNKNOWN


INSTALLED = an_object(
    "ConfigMap", "relay", "x1-system", data={"X1_REGISTRY_HOST": "registry.x1-system.svc:5000"}
)
REGISTRY = an_object("Service", "registry", "x1-system", spec={"ports": [{"port": 5000}]})
TAINTED = an_object("Node", "control", spec={"taints": [{"effect": "NoSchedule"}]})


def pulled(says, *objects):
    return pulling.registry(RememberedCluster(INSTALLED, *objects, kubelet_says=says))


def test_every_node_that_takes_pods_is_asked_for_an_image():
    finding = pulled("unauthorized", *NODES, TAINTED)
    assert finding.came == "registry.x1-system.svc:5000 answers one, two"


def test_a_name_that_nodes_do_not_know_comes_with_the_commands_for_a_node():
    finding = pulled("no such host", *NODES, REGISTRY)
    assert finding.level is Level.FAILED
    folder = "/etc/containerd/certs.d/registry.x1-system.svc:5000"
    assert f"mkdir -p {folder}" in finding.remedy
    assert f"echo 'server = \"http://10.96.0.77:5000\"' > {folder}/hosts.toml" in finding.remedy


def test_a_registry_elsewhere_is_told_without_an_address():
    assert "10.96" not in pulled("no such host", *NODES).remedy


def test_a_relay_that_nodes_do_not_reach_is_told_apart_from_the_registry():
    says = (
        'failed to fetch anonymous token: Get "http://10.96.0.9:8700/registry/token": i/o timeout'
    )
    finding = pulled(says, *NODES, REGISTRY)
    assert finding.level is Level.FAILED
    assert "node_networks" in finding.remedy
