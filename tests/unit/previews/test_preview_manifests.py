"""Manifests of a preview: what may stand in them, and how findings name file, place and line."""

from dataclasses import replace

import pytest

from sidecar.domain.errors import SpecInvalid
from sidecar.domain.image_name import image_name
from sidecar.wire.preview_abilities import Abilities
from sidecar.wire.preview_manifests import read_manifests

APP = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: nginx
          envFrom: [{configMapRef: {name: settings}}]
          ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {GREETING: hello}
"""


ABILITIES = Abilities(
    kinds=("manifest",), registry="registry.x1:5000", image=image_name("acme/app")
)


def findings(text, port=8080, **most):
    with pytest.raises(SpecInvalid) as refused:
        read_manifests({"k8s/app.yaml": text}, port, replace(ABILITIES, most=most))
    return [(each.path, each.message, each.line) for each in refused.value.findings]


def with_pod(line):
    return APP.replace("      containers:", f"      {line}\n      containers:")


def with_container(line):
    return APP.replace("          image: nginx", f"          image: nginx\n          {line}")


@pytest.mark.parametrize(
    "image",
    [
        "registry.x1:5000/ws/default/{other}@sha256:" + "a" * 64,
        "registry.x1:5000/ws/default/{other}:latest",
        "REGISTRY.x1:5000/ws/another/{other}",
        "registry.x1:5000/{other}",
        "registry.x1:5000/ws/default/cache",
    ],
)
def test_what_was_built_from_another_repository_is_not_run(image):
    written = image.format(other=image_name("acme/other"))
    found = findings(APP.replace("image: nginx", f"image: {written}"))
    assert [message for _, message, _ in found] == [
        f"image {written}: built from another repository"
    ]


@pytest.mark.parametrize(
    "image",
    ["registry.x1:5000/ws/default/{own}@sha256:" + "a" * 64, "ghcr.io/ws/default/{other}:1"],
)
def test_its_own_images_and_those_of_other_registries_are_run(image):
    own, other = image_name("acme/app"), image_name("acme/other")
    text = APP.replace("image: nginx", f"image: {image.format(own=own, other=other)}")
    assert read_manifests({"k8s/app.yaml": text}, 8080, ABILITIES).service == "web"


def test_a_preview_asks_for_so_many_pods_and_no_more():
    many = "".join(
        "\n---\n"
        + APP.split("---", maxsplit=1)[0]
        .replace("name: web", f"name: web-{n}")
        .replace("spec:", "spec:\n  replicas: 5", 1)
        for n in range(4)
    )
    assert [message for _, message, _ in findings(APP + many)] == [
        "21 pods, of at most 20 in a preview"
    ]


def test_the_url_leads_to_the_service_that_has_the_runtimes_port():
    manifests = read_manifests({"k8s/app.yaml": APP}, 8080)
    assert (manifests.service, manifests.port) == ("web", 80)
    assert [each["kind"] for each in manifests.objects] == ["Deployment", "Service", "ConfigMap"]


def test_no_service_or_two_with_the_port_are_a_finding():
    assert "found none" in findings(APP, port=9090)[0][1]
    twice = (
        APP
        + "---\napiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec: {selector: {app: web}, ports: [{port: 8080}]}\n"
    )
    assert "found web, b" in findings(twice)[0][1]


def test_everything_wrong_is_told_at_once_with_file_path_and_line():
    text = with_pod("hostNetwork: true").replace(
        "image: nginx", "image: nginx\n          tty: true"
    )
    text += "---\nkind: Ingress\napiVersion: networking.k8s.io/v1\n"
    found = findings(text)
    places = {(path, line) for path, _, line in found}
    assert ("k8s/app.yaml: spec.template.spec.hostNetwork", 9) in places
    assert ("k8s/app.yaml: spec.template.spec.containers[0].tty", 13) in places
    assert ("k8s/app.yaml: kind", text.splitlines().index("kind: Ingress") + 1) in places


@pytest.mark.parametrize(
    "line",
    [
        "hostNetwork: true",
        "hostPID: true",
        "hostIPC: true",
        "serviceAccountName: default",
        "automountServiceAccountToken: true",
        "nodeName: one",
        "tolerations: [{operator: Exists}]",
        "priorityClassName: system-node-critical",
        "imagePullSecrets: [{name: x1-pull}]",
        "volumes: [{name: v, hostPath: {path: /}}]",
        "volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]",
        "volumes: [{name: v, csi: {driver: d}}]",
        "volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]",
        "volumes: [{name: v, secret: {secretName: x1-pull}}]",
        "securityContext: {runAsUser: 0}",
        "securityContext: {runAsNonRoot: false}",
        "securityContext: {seccompProfile: {type: Unconfined}}",
        "securityContext: {sysctls: [{name: a, value: b}]}",
    ],
)
def test_a_pod_may_not(line):
    (found,) = findings(with_pod(line))
    assert found[2] == 9


@pytest.mark.parametrize(
    "line",
    [
        "securityContext: {privileged: true}",
        "securityContext: {allowPrivilegeEscalation: true}",
        "securityContext: {capabilities: {add: [NET_ADMIN]}}",
        "securityContext: {procMount: Unmasked}",
        "volumeDevices: [{name: a, devicePath: /dev/a}]",
        "livenessProbe: {httpGet: {path: /, port: 80, host: 169.254.169.254}}",
        "lifecycle: {postStart: {tcpSocket: {port: 80, host: 10.0.0.1}}}",
        "env: [{name: A, valueFrom: {secretKeyRef: {name: x1-pull, key: k}}}]",
        "resources: {claims: [{name: gpu}]}",
        "resources: {limits: {memory: 64Gi}}",
        "resources: {limits: {memory: much}}",
    ],
)
def test_a_container_may_not(line):
    (found,) = findings(with_container(line), memory="4Gi")
    assert found[2] == 12


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("Ingress", "networking.k8s.io/v1"),
        ("HTTPRoute", "gateway.networking.k8s.io/v1"),
        ("ClusterRole", "rbac.authorization.k8s.io/v1"),
        ("RoleBinding", "rbac.authorization.k8s.io/v1"),
        ("ServiceAccount", "v1"),
        ("Namespace", "v1"),
        ("NetworkPolicy", "networking.k8s.io/v1"),
        ("PersistentVolumeClaim", "v1"),
        ("DaemonSet", "apps/v1"),
        ("Pod", "v1"),
    ],
)
def test_other_kinds_are_refused(kind, version):
    (found,) = findings(f"{APP}---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n")
    assert "a preview may have Deployment" in found[1]


@pytest.mark.parametrize(
    "line",
    [
        "type: NodePort",
        "type: LoadBalancer",
        "type: ExternalName",
        "externalName: x.example",
        "externalIPs: [1.2.3.4]",
        "loadBalancerIP: 1.2.3.4",
        "clusterIP: 10.96.0.10",
    ],
)
def test_a_service_stays_in_the_cluster(line):
    (found,) = findings(
        APP.replace("  selector: {app: web}\n", f"  selector: {{app: web}}\n  {line}\n")
    )
    assert found[2] == 20


def test_a_service_without_a_selector_could_lead_anywhere():
    assert "spec.selector is missing" in findings(APP.replace("  selector: {app: web}\n", ""))[0][1]


@pytest.mark.parametrize("key", ["x1flows.io/preview", "prefect.io/flow-run-id", "a.x1flows.io/b"])
@pytest.mark.parametrize("place", ["metadata: {name: web}", "    metadata: {labels: {app: web}}"])
def test_the_platforms_labels_are_reserved(key, place):
    labelled = (
        place.replace("}", f", labels: {{'{key}': a}}}}", 1)
        if "labels" not in place
        else (place.replace("app: web", f"app: web, '{key}': a"))
    )
    assert any("reserved" in message for _, message, _ in findings(APP.replace(place, labelled, 1)))


def test_annotations_that_steer_the_clusters_controllers_are_refused():
    text = APP.replace(
        "metadata: {name: web}",
        "metadata: {name: web, annotations: {traefik.ingress.kubernetes.io/service.sticky.cookie: a}}",
        1,
    )
    assert "reserved" in findings(text)[0][1]


@pytest.mark.parametrize("key", ["example.com/app", "app.kubernetes.io/component"])
def test_a_selector_by_what_is_left_out_is_told(key):
    text = APP.replace("app: web", f"'{key}': web")
    assert any("left out of a preview" in message for _, message, _ in findings(text))


def test_a_selector_by_a_recommended_name_is_taken():
    text = APP.replace("app: web", "app.kubernetes.io/name: web")
    assert read_manifests({"a.yaml": text}, 8080).service == "web"


def test_a_name_that_another_document_has_is_told():
    assert any("a second Deployment web" in each[1] for each in findings(f"{APP}---\n{APP}"))


def test_a_document_that_is_no_yaml_is_told_with_its_line():
    assert findings(f"{APP}---\na: [\n")[0][0] == "k8s/app.yaml: (document)"


def test_a_separator_within_a_text_is_content():
    text = APP.replace("data: {GREETING: hello}", "data:\n  page: |\n    a\n    ---\n    b")
    assert read_manifests({"a.yaml": text}, 8080).objects[2]["data"]["page"] == "a\n---\nb\n"
