"""What both overlays hold to: Kubernetes' schemas from 1.29 on, and the rules of this house for every pod."""

import re
from ipaddress import ip_address, ip_network

import kubernetes_validate
import pytest
from kubernetes.utils.quantity import parse_quantity

from infra.cluster.settings import Settings
from sidecar.bus.nats import MAX_STREAM_BYTES
from sidecar.settings import RelaySettings

pytestmark = pytest.mark.real
OVERLAYS = ["local", "production"]
VERSIONS = ["1.29", "1.31", "1.33", "1.36"]
OWN_KINDS_ONLY = {"gateway.networking.k8s.io"}
"""Groups whose schemas come with their controller; a cluster's server-side dry run checks them."""
HOLDERS_OF_TOKENS = {
    "relay": "reviews tokens, lists pods and events of sessions and operations, removes their Jobs",
    "worker": "creates the Jobs of sessions",
    "worker-previews": "creates the Jobs of operations",
}
ADDED = {"session-dns": ["NET_BIND_SERVICE"]}
"""The public image's program carries this capability, which the restricted level allows, and starts with no less."""
TEMPLATED = {"Deployment", "StatefulSet", "DaemonSet", "Job"}


def named(each):
    return f"{each['kind']}/{each['metadata']['name']}"


def pods(objects):
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] in TEMPLATED
    }


def containers(pod):
    return [*pod.get("initContainers", []), *pod["containers"]]


def found(objects, kind, name):
    (one,) = [each for each in objects if named(each) == f"{kind}/{name}"]
    return one


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_takes_every_object_strictly(render_overlay, overlay, version):
    for each in render_overlay(overlay):
        if each["apiVersion"].split("/")[0] not in OWN_KINDS_ONLY:
            kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_labelled_as_ours_so_that_an_uninstallation_finds_it(
    render_overlay, overlay
):
    assert [
        named(each)
        for each in render_overlay(overlay)
        if each["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") != "x1flows"
    ] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_carry_our_label_and_what_cannot_be_changed_does_not(render_overlay, overlay):
    for each in render_overlay(overlay):
        if each["kind"] in TEMPLATED:
            labels = each["spec"]["template"]["metadata"]["labels"]
            assert labels["app.kubernetes.io/part-of"] == "x1flows", named(each)
            assert "part-of" not in str(each["spec"].get("selector")), named(each)
            assert "part-of" not in str(each["spec"].get("volumeClaimTemplates")), named(each)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_restricted(render_overlay, overlay):
    for name, pod in pods(render_overlay(overlay)).items():
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["enableServiceLinks"] is False, name
        assert not [field for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field)]
        for each in containers(pod):
            own = each["securityContext"]
            assert own["capabilities"]["drop"] == ["ALL"], name
            assert own["capabilities"].get("add", []) == ADDED.get(name, []), name
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["readOnlyRootFilesystem"] is True, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_those_who_need_it_hold_a_token_of_the_kubernetes_api(render_overlay, overlay):
    objects = render_overlay(overlay)
    holders = {name for name, pod in pods(objects).items() if pod["automountServiceAccountToken"]}
    assert holders <= HOLDERS_OF_TOKENS.keys()
    assert [
        named(each)
        for each in objects
        if each["kind"] == "ServiceAccount"
        and each.get("automountServiceAccountToken") is not False
    ] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_asks_for_what_it_needs_and_is_held_to_a_limit(render_overlay, overlay):
    for name, pod in pods(render_overlay(overlay)).items():
        for each in containers(pod):
            for side in ("requests", "limits"):
                asked = each["resources"][side]
                assert {"cpu", "memory", "ephemeral-storage"} <= asked.keys(), (name, side)
        for volume in pod.get("volumes", []):
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_in_a_manifest(render_overlay, overlay):
    assert [named(each) for each in render_overlay(overlay) if each["kind"] == "Secret"] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_container_has_a_secret_in_its_environment(render_overlay, overlay):
    """Not by reference either: /proc and `exec env` show what it refers to."""
    for name, pod in pods(render_overlay(overlay)).items():
        for each in containers(pod):
            assert "secretKeyRef" not in str(each.get("env")), name
            assert "secretRef" not in str(each.get("envFrom")), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_our_images_are_those_that_were_wished(render_overlay, overlay):
    images = {
        each["image"] for pod in pods(render_overlay(overlay)).values() for each in containers(pod)
    }
    assert "registry.example/x1/control:2" in images
    assert not [image for image in images if image.startswith("x1/")]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_namespace_with_pods_is_closed_unless_a_policy_opens_it(render_overlay, overlay):
    objects = render_overlay(overlay)
    closed = {
        each["metadata"]["namespace"]
        for each in objects
        if each["kind"] == "NetworkPolicy"
        and each["spec"]["podSelector"] == {}
        and set(each["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and not each["spec"].get("ingress")
        and not each["spec"].get("egress")
    }
    with_pods = ("system", "sessions", "operations", "builds", "previews-default")
    assert {f"x1-{each}" for each in with_pods} <= closed


def test_builds_and_previews_make_way_for_sessions_and_sessions_for_the_control_plane(
    render_overlay,
):
    objects = render_overlay("local")
    value = {
        name: found(objects, "PriorityClass", name)["value"]
        for name in ("x1-preview", "x1-session", "x1-control")
    }
    assert value["x1-preview"] < value["x1-session"] < value["x1-control"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_namespace_where_pods_run_has_a_limit_for_those_that_name_none(
    render_overlay, overlay
):
    objects = render_overlay(overlay)
    ranged = {each["metadata"]["namespace"] for each in objects if each["kind"] == "LimitRange"}
    spaces = {each["metadata"]["name"] for each in objects if each["kind"] == "Namespace"}
    assert spaces - ranged == {"x1-gateway"}, "where nothing runs"
    hard = found(objects, "ResourceQuota", "sessions")["spec"]["hard"]
    assert "requests.ephemeral-storage" in hard


INSIDE = ["10.0.0.1", "100.64.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1", "168.63.129.16"]
"""Machines' and clusters' own addresses; the last is where Azure answers each of its machines."""


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", ["egress", "build", "to-the-world"])
def test_whoever_runs_what_others_wrote_reaches_the_world_and_no_platform(
    render_overlay, overlay, name
):
    policy = found(render_overlay(overlay), "NetworkPolicy", name)
    (block,) = [
        peer["ipBlock"]
        for rule in policy["spec"]["egress"]
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    closed = [ip_network(each) for each in block["except"]]
    assert [each for each in INSIDE if not any(ip_address(each) in one for one in closed)] == []


OPENED = '[{"cidr": "10.1.0.0/16", "ports": [80, 443]}, {"cidr": "10.2.0.7/32", "ports": [5000]}]'


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_opened_network_is_reached_by_those_who_fetch_and_push_and_by_nobody_else(
    render_overlay, overlay
):
    plain, opened = render_overlay(overlay), render_overlay(overlay, open_networks=OPENED)
    for version in VERSIONS:
        for each in opened:
            if each["kind"] == "NetworkPolicy":
                kubernetes_validate.validate(each, version, strict=True)
    rules = [
        {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 80}, {"port": 443}]},
        {"to": [{"ipBlock": {"cidr": "10.2.0.7/32"}}], "ports": [{"port": 5000}]},
    ]
    changed = {}
    for before, after in zip(plain, opened, strict=True):
        if before["kind"] == "NetworkPolicy" and before != after:
            was, became = before["spec"]["egress"], after["spec"]["egress"]
            changed[after["metadata"]["name"]] = became[len(was) :]
            assert became[: len(was)] == was
    assert changed == dict.fromkeys(["egress", "build", "preview-flow", "relay"], rules)
    for objects, told in ((plain, "[]"), (opened, '["10.1.0.0/16", "10.2.0.7/32"]')):
        (proxy,) = pods(objects)["egress"]["containers"]
        assert {"name": "X1_EGRESS_OPEN_NETWORKS", "value": told} in proxy["env"]


def test_relays_are_replaced_one_by_one_and_never_all_away(render_overlay):
    objects = render_overlay("production")
    relay = found(objects, "Deployment", "relay")
    assert relay["spec"]["replicas"] == 2
    assert relay["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert found(objects, "PodDisruptionBudget", "relay")["spec"]["minAvailable"] == 1


def test_a_team_has_three_nats_servers_spread_over_nodes_and_three_copies_of_each_stream(
    render_overlay,
):
    objects = render_overlay("production")
    nats = found(objects, "StatefulSet", "nats")["spec"]
    assert nats["replicas"] == 3
    spread = {each["topologyKey"] for each in nats["template"]["spec"]["topologySpreadConstraints"]}
    assert "kubernetes.io/hostname" in spread
    assert found(objects, "ConfigMap", "relay")["data"]["X1_BUS_REPLICAS"] == "3"
    assert found(objects, "PodDisruptionBudget", "nats")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_buss_disk_has_room_for_all_that_streams_reserve(render_overlay, overlay):
    objects = render_overlay(overlay)
    relay = found(objects, "ConfigMap", "relay")["data"]
    artifacts = int(
        relay.get("X1_ARTIFACTS_MAX_BYTES")
        or RelaySettings.model_fields["artifacts_max_bytes"].default
    )
    config = found(objects, "ConfigMap", "nats")["data"]["nats.conf"]
    store = int(re.search(r"max_file_store: (\d+)GB", config)[1]) << 30
    (claim,) = found(objects, "StatefulSet", "nats")["spec"]["volumeClaimTemplates"]
    volume = parse_quantity(claim["spec"]["resources"]["requests"]["storage"])
    assert MAX_STREAM_BYTES + artifacts <= store <= volume * 3 / 4


def test_a_teams_installation_brings_no_database_and_no_forge(render_overlay):
    names = pods(render_overlay("production"))
    assert not {"postgres", "forge", "registry"} & names.keys()


def test_what_the_settings_say_of_sessions_reaches_the_installer_and_the_quota(render_overlay):
    told = Settings.model_validate(
        {
            "images": {"pull_secret_file": "config.json"},
            "builds": {"buildkit_image": "mirror.acme.dev/buildkit:v0", "rootless": True},
            "sessions": {
                "runtime_class": "gvisor",
                "node_selector": {"pool": "agents"},
                "tolerations": [{"key": "agents", "operator": "Exists"}],
                "quota": {"pods": 100, "count/jobs.batch": "200"},
            },
        }
    )
    objects = render_overlay("local", **told.wish().values)
    values = found(objects, "ConfigMap", "x1-values")["data"]
    read = {
        each["name"]: values[each["valueFrom"]["configMapKeyRef"]["key"]]
        for each in pods(objects)["installer"]["containers"][0]["env"]
        if "configMapKeyRef" in each.get("valueFrom", {})
    }
    assert read == {
        "X1_SESSION_RUNTIME_CLASS": "gvisor",
        "X1_SESSION_NODE_SELECTOR": '{"pool": "agents"}',
        "X1_SESSION_TOLERATIONS": '[{"key": "agents", "operator": "Exists"}]',
        "X1_BUILDKIT_IMAGE": "mirror.acme.dev/buildkit:v0",
        "X1_BUILDKIT_IS_ROOTLESS": "true",
        "X1_IMAGE_PULL_SECRET": "x1-image-login",
    }
    quota = found(objects, "ResourceQuota", "sessions")["spec"]["hard"]
    assert (quota["pods"], quota["count/jobs.batch"], quota["requests.cpu"]) == ("100", "200", "16")
    login = [{"name": "x1-image-login"}]
    assert {
        name for name, pod in pods(objects).items() if pod.get("imagePullSecrets") != login
    } == set()
    assert found(objects, "ServiceAccount", "build")["imagePullSecrets"] == login


def test_values_are_where_they_belong(render_overlay):
    objects = render_overlay(
        "production",
        public_url="https://x1.acme.dev",
        forge_app_id="42",
        forge_host="git.acme.dev",
        postgres_address="flows@db.acme.dev:6432",
        storage_class="fast",
        previews_domain="try.acme.dev",
        gateway_service="envoy.gateways.svc.acme.local",
        gateway_namespace="gateways",
        gateway_port="8443",
        certificate_issuer="letsencrypt",
        preview_secrets='["acme/app:STRIPE"]',
    )
    gateway = found(objects, "Gateway", "previews")
    assert gateway["spec"]["listeners"][0]["hostname"] == "*.try.acme.dev"
    assert gateway["spec"]["listeners"][0]["port"] == 8443
    assert gateway["metadata"]["annotations"] == {"cert-manager.io/cluster-issuer": "letsencrypt"}
    relay = found(objects, "ConfigMap", "relay")["data"]
    assert relay["X1_PUBLIC_URL"] == "https://x1.acme.dev"
    assert (relay["X1_FORGE_APP_ID"], relay["X1_FORGE_HOST"]) == ("42", "git.acme.dev")
    assert relay["X1_DATABASE_URL"] == "postgresql+psycopg://flows@db.acme.dev:6432/x1"
    assert relay["X1_PREVIEW_SECRETS"] == '["acme/app:STRIPE"]'
    making = pods(objects)["prefect"]["initContainers"][0]["env"]
    assert {
        "name": "X1_POSTGRES_URL",
        "value": "postgresql://flows@db.acme.dev:6432/postgres",
    } in making
    (claim,) = found(objects, "StatefulSet", "nats")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert relay["X1_PREVIEW_URL_TEMPLATE"] == "https://{label}.try.acme.dev"
    dns = pods(objects)["session-dns"]["containers"][0]["env"]
    assert {"name": "X1_PREVIEW_DOMAIN", "value": "try.acme.dev"} in dns
    names = {
        each["name"]: each["value"] for each in pods(objects)["session-dns"]["containers"][0]["env"]
    }
    assert names["X1_PREVIEW_DOMAIN"] == "try.acme.dev"
    assert names["X1_GATEWAY_SERVICE"] == "envoy.gateways.svc.acme.local"
    (rule,) = found(objects, "NetworkPolicy", "session-to-previews")["spec"]["egress"]
    wanted = {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}
    assert rule["to"] == [{"namespaceSelector": wanted}]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_teams_authorities_lie_where_forge_and_registry_are_asked_from(render_overlay, overlay):
    told = "-----BEGIN CERTIFICATE-----\nmine\n"
    held = {
        each["metadata"]["namespace"]: each["data"]
        for each in render_overlay(overlay, authorities=told)
        if named(each) == "ConfigMap/x1-authorities"
    }
    wanted = ("x1-system", "x1-sessions", "x1-operations", "x1-builds")
    assert held == {each: {"ca.crt": told} for each in wanted}


def test_the_database_is_reached_at_its_port_and_where_it_is_said_to_be(render_overlay):
    (anywhere,) = found(render_overlay("production"), "NetworkPolicy", "to-database")["spec"][
        "egress"
    ]
    assert [each["ipBlock"]["cidr"] for each in anywhere["to"]] == ["0.0.0.0/0", "::/0"]
    narrow = render_overlay(
        "production",
        postgres_address="x1@db.example.com:6432",
        postgres_networks="10.30.0.0/24 fd00::/48",
    )
    (way,) = found(narrow, "NetworkPolicy", "to-database")["spec"]["egress"]
    assert [each["port"] for each in way["ports"]] == [6432]
    assert way["to"] == [{"ipBlock": {"cidr": each}} for each in ("10.30.0.0/24", "fd00::/48")]
