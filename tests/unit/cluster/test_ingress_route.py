"""`previews.route: ingress`: an installation for a cluster that has no Gateway API."""

import json

import kubernetes_validate
import pytest

from infra.cluster import routes, settings
from infra.cluster.doctor import asking
from infra.cluster.doctor.finding import Level
from infra.local.errors import WrongUsage

pytestmark = pytest.mark.real
VERSIONS = ["1.29", "1.33", "1.36"]
OVERLAYS = ["local", "production"]
INGRESS = {"previews_route": "ingress"}
NAMESPACE = "kubernetes.io/metadata.name"


def found(objects, kind, name, namespace):
    (one,) = [
        each
        for each in objects
        if (each["kind"], each["metadata"]["name"], each["metadata"].get("namespace"))
        == (kind, name, namespace)
    ]
    return one


def rights(objects):
    rules = found(objects, "Role", "preview", "x1-previews-default")["rules"]
    return {resource for each in rules for resource in each["resources"]}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_without_gateway_api_takes_every_object_strictly(
    render_overlay, overlay, version
):
    for each in render_overlay(overlay, **INGRESS):
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_preview_flow_may_touch_the_routes_that_are_chosen_and_no_others(
    render_overlay, overlay
):
    assert "ingresses" not in rights(render_overlay(overlay))
    assert "httproutes" not in rights(render_overlay(overlay, **INGRESS))
    assert "ingresses" in rights(render_overlay(overlay, **INGRESS))


def test_the_key_lies_in_a_namespace_without_pods_and_its_door_is_for_every_host(render_overlay):
    objects = render_overlay(
        "production",
        **INGRESS,
        previews_domain="try.acme.dev",
        ingress_class="nginx",
        ingress_annotations='{"acme.dev/shard": "two"}',
        certificate_issuer="letsencrypt",
    )
    door = found(objects, "Ingress", "previews", "x1-gateway")
    assert door["spec"]["ingressClassName"] == "nginx"
    assert door["spec"]["tls"] == [{"hosts": ["*.try.acme.dev"], "secretName": "previews-tls"}]
    assert door["spec"]["rules"] == [{"host": "*.try.acme.dev"}]
    assert door["metadata"]["annotations"] == {
        "acme.dev/shard": "two",
        "cert-manager.io/cluster-issuer": "letsencrypt",
    }
    quota = found(objects, "ResourceQuota", "nothing-runs-here", "x1-gateway")
    assert quota["spec"]["hard"] == {"pods": "0"}


def test_the_controllers_namespace_reaches_previews_and_stamps_and_is_reached(render_overlay):
    objects = render_overlay("production", **INGRESS, gateway_namespace="doors")
    for name, namespace, side in (
        ("from-ingress", "x1-previews-default", "ingress"),
        ("stamps-from-ingress", "x1-previews-default", "ingress"),
        ("flow-to-previews", "x1-operations", "egress"),
        ("session-to-previews", "x1-sessions", "egress"),
    ):
        (rule,) = found(objects, "NetworkPolicy", name, namespace)["spec"][side]
        (peer,) = rule["from" if side == "ingress" else "to"]
        assert peer["namespaceSelector"]["matchLabels"] == {NAMESPACE: "doors"}, name


def test_the_stamp_service_is_restricted_has_no_token_and_is_not_a_previews(render_overlay):
    objects = render_overlay("local", **INGRESS)
    template = found(objects, "Deployment", "stamps", "x1-previews-default")["spec"]["template"]
    pod = template["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["image"] == "registry.example/x1/sidecar:2"
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    reserved = {k: v for k, v in template["metadata"]["labels"].items() if k.startswith("x1flows.")}
    assert reserved == {"x1flows.io/role": "stamps"}
    service = found(objects, "Service", "stamps", "x1-previews-default")
    policy = found(objects, "NetworkPolicy", "stamps-from-ingress", "x1-previews-default")
    assert service["spec"]["selector"] == policy["spec"]["podSelector"]["matchLabels"] == reserved


def test_the_preview_pool_is_told_of_the_route(render_overlay):
    objects = render_overlay("local", **INGRESS, ingress_class="nginx")
    job = found(objects, "Job", "installer", "x1-system")["spec"]["template"]["spec"]
    told = {each["name"]: each.get("value") for each in job["containers"][0]["env"]}
    assert (told["X1_PREVIEW_ROUTE"], told["X1_INGRESS_CLASS"]) == ("ingress", "nginx")
    assert "traefik" in json.loads(told["X1_INGRESS_ANNOTATIONS"]).popitem()[0]


def test_what_belongs_to_the_other_route_is_refused():
    for route, field, value in (
        ("ingress", "gateway_class", "envoy"),
        ("ingress", "gateway_port", 443),
        ("gateway", "ingress_class", "nginx"),
        (None, "ingress_annotations", {}),
    ):
        with pytest.raises(WrongUsage) as refused:
            settings.read(None, previews__route=route, **{f"previews__{field}": value})
        assert field in refused.value.came


def test_an_installation_remembers_its_route():
    wish = settings.read(None, previews__route="ingress", previews__ingress_class="nginx").wish()
    assert wish.route == "ingress"
    assert settings.read(None).wish().route == "gateway"


class Cluster:
    """As kubectl shows it: what is there, by kind and namespace, and what was taken away."""

    def __init__(self, served, there):
        self.served, self.there, self.gone = served, there, []

    def must(self, *words):
        if words[0] == "api-resources":
            return "\n".join(self.served)
        self.gone.append((words[1], words[2], words[4]))
        return ""

    def listing(self, kind, *words):
        assert "." not in kind or kind in self.served
        where = words[1] if words else ""
        return [{"metadata": {"name": name}} for name in self.there.get((kind, where), ())]


@pytest.mark.parametrize(
    ("route", "other"),
    [
        ("ingress", "httproutes.gateway.networking.k8s.io"),
        ("gateway", "ingresses.networking.k8s.io"),
    ],
)
def test_previews_routes_of_the_other_kind_are_taken_away(route, other):
    spaces = {"default": ["p-one", "p-two"], "team-b": ["p-three"]}
    there = {(other, f"x1-previews-{each}"): names for each, names in spaces.items()}
    cluster = Cluster([other], there)
    assert len(list(routes.remove_others(cluster, route, ["default", "team-b"]))) == 3
    assert cluster.gone == [
        (other, name, f"x1-previews-{each}") for each, names in spaces.items() for name in names
    ]


def test_a_cluster_without_gateway_api_is_not_asked_for_its_objects():
    cluster = Cluster(["ingresses.networking.k8s.io"], {})
    assert list(routes.remove_others(cluster, "ingress", ["default"])) == []


def test_the_doctor_looks_for_the_class_and_names_those_that_are_there(render_overlay):
    cluster = Cluster([], {("ingressclass", ""): ["nginx"]})
    wished = render_overlay("local", **INGRESS, ingress_class="nginx")
    assert asking.ingress_class(cluster, wished).level is Level.OK
    missing = asking.ingress_class(cluster, render_overlay("local", **INGRESS))
    assert (missing.level, missing.came) == (Level.FAILED, "nginx")
    assert "ingress_class" in missing.remedy
