"""The sessions' DNS and the egress proxy as they are installed: what they are told, and by which rights."""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from sidecar.egress.addresses import Outside
from sidecar.egress.settings import EgressSettings

BASE = Path(__file__).parents[3] / "infra" / "k8s" / "base"
OBJECTS = [
    each
    for name in ("dns", "egress")
    for each in yaml.safe_load_all((BASE / f"{name}.yaml").read_text())
]


def one(kind, name):
    return next(
        each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )


def blocks():
    """The Corefile's server blocks: which names, what is done with them."""
    text = one("ConfigMap", "session-dns")["data"]["Corefile"]
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    return re.findall(r"^(\S[^\n]*) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("version", ["1.29", "1.32", "1.36"])
@pytest.mark.parametrize(
    "manifest", OBJECTS, ids=lambda each: f"{each['kind']} {each['metadata']['name']}"
)
def test_kubernetes_takes_each_object_strictly(manifest, version):
    kubernetes_validate.validate(manifest, version, strict=True)


def test_every_name_that_is_not_one_of_ours_is_unknown_and_never_forwarded():
    [(_, rules)] = [each for each in blocks() if each[0] == ".:5353"]
    assert re.search(r"template ANY ANY \{\s*rcode NXDOMAIN\s*\}", rules)
    assert "forward" not in rules


def test_what_is_forwarded_is_a_service_by_its_whole_name_or_the_gateways():
    services = {"relay", "nats", "prefect", "egress", "forge"}
    forwarding = {names: rules for names, rules in blocks() if "forward" in rules}
    previews, own = sorted(forwarding, key=len)
    assert previews == "{$X1_PREVIEW_DOMAIN}:5353"
    assert "rewrite stop name regex .* {$X1_GATEWAY_SERVICE} answer auto" in forwarding[previews]
    zones = {
        f"{service}.x1-system.svc{suffix}:5353"
        for service in services
        for suffix in ("", ".{$X1_CLUSTER_DOMAIN}")
    }
    assert set(own.split()) == zones
    [below] = re.findall(r'match "\\\.\(([a-z|]+)\)\\\.x1-system', forwarding[own])
    assert set(below.split("|")) == services
    for rules in forwarding.values():
        assert re.findall(r"forward (.*)", rules) == [". /etc/resolv.conf"]


@pytest.mark.parametrize("name", ["session-dns", "egress"])
def test_neither_has_a_right_in_the_cluster_and_both_outlive_a_node(name):
    deployment = one("Deployment", name)
    pod = deployment["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert deployment["spec"]["replicas"] == 2
    assert one("PodDisruptionBudget", name)["spec"]["minAvailable"] == 1
    for each in pod["containers"]:
        assert each["securityContext"]["readOnlyRootFilesystem"] is True
        assert "ephemeral-storage" in each["resources"]["limits"]


def test_the_egress_proxy_reads_every_variable_that_its_manifest_sets(monkeypatch):
    container = one("Deployment", "egress")["spec"]["template"]["spec"]["containers"][0]
    for each in container["env"]:
        monkeypatch.setenv(each["name"], each["value"])
    settings = EgressSettings()
    assert (settings.host, settings.port) == ("0.0.0.0", 3128)
    assert settings.relay_url == "http://relay.x1-system.svc:8700"
    known = {"X1_RELAY_URL", *(f"X1_EGRESS_{name.upper()}" for name in EgressSettings.model_fields)}
    assert {each["name"] for each in container["env"]} <= known


POLICIES = [
    each
    for path in BASE.glob("*.yaml")
    for each in yaml.safe_load_all(path.read_text())
    if each["kind"] == "NetworkPolicy"
]
INTERNAL = (
    *("10.0.0.1", "100.100.100.200", "127.0.0.1", "169.254.169.254", "172.16.0.1"),
    *("168.63.129.16", "192.0.0.192", "192.168.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
)
"""Of clusters and their machines; 100.100.100.200, 168.63.129.16 and 192.0.0.192 are metadata of clouds."""


def test_whoever_may_ask_the_world_may_ask_no_address_that_the_egress_proxy_refuses():
    worlds = {
        policy["metadata"]["name"]: [ip_network(each) for each in peer["ipBlock"]["except"]]
        for policy in POLICIES
        for rule in policy["spec"].get("egress", ())
        for peer in rule.get("to", ())
        if "ipBlock" in peer
    }
    assert worlds.keys() == {"egress", "build", "to-the-world"}
    for text in INTERNAL:
        assert not Outside().decide(text).allowed
        for name, closed in worlds.items():
            assert any(ip_address(text) in each for each in closed), (name, text)
