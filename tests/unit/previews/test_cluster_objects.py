"""The objects of a preview on a cluster: Kubernetes takes them, and they hold what a preview may have and no more."""

import base64
import json

import kubernetes_validate
import pytest
import yaml
from pydantic import SecretStr

from sidecar.wire.preview_abilities import Abilities
from sidecar.wire.preview_spec import DependencySpec, parse_preview
from sidecar.wire.previews import OperationBundle
from tasks.previews.kubernetes import dependencies, routes
from tasks.previews.kubernetes.http_routes import HttpRoutes
from tasks.previews.kubernetes.ingresses import Ingresses
from tasks.previews.kubernetes.names import Names
from tasks.previews.kubernetes.policy import policy
from tasks.previews.kubernetes.revision import of_revision

VERSIONS = ["1.29", "1.32", "1.36"]
IMAGE = "registry:5000/ws/default/acme-app@sha256:" + "d" * 64
GATEWAY = HttpRoutes(gateway="previews", namespace="x1-gateway")
INGRESSES = Ingresses(class_name="traefik", annotations={"acme.dev/door": "websecure"})
CLUSTER = Abilities(kinds=("dockerfile", "manifest"), secrets=frozenset({"STRIPE"}))
SPEC = """apiVersion: x1agent.io/v1
kind: PreviewSpec
metadata: {name: app}
spec:
  entrypoint: {kind: dockerfile, path: Dockerfile}
  runtime: {port: 8000, healthcheck: {path: /healthz}}
  dependencies:
    - {kind: postgres, provides: [DATABASE_URL]}
    - {kind: redis, name: cache}
  env:
    - {name: GREETING, value: hello}
    - {name: SELF, from: preview.self_url}
    - {name: CACHE, from: dep:1.host}
    - {name: STRIPE_KEY, from: 'secret:STRIPE'}
  resources: {requests: {cpu: '2'}, limits: {memory: 1Gi}}
  volumes: [{name: -cache, path: /cache, kind: tmpfs}]
"""
MANIFESTS = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: kube-system}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: nginx
          env:
            - {name: DB, value: "$(X1_HOST_DB_MAIN):5432"}
            - {name: GREETING, value: mine}
            - {name: K, valueFrom: {secretKeyRef: {name: keys, key: k}}}
          envFrom: [{configMapRef: {name: settings}}]
      volumes:
        - {name: v, configMap: {name: settings}}
        - {name: s, projected: {sources: [{secret: {name: keys}}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db-main
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      securityContext: {runAsUser: 70}
      containers: [{name: db, image: postgres}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: db-main}
spec: {selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {A: b}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {k: v}
"""


def bundle(**fields):
    return OperationBundle(
        **{
            "outcome": "claimed",
            "preview_id": "01jd0000000000000000000000",
            "repo": "acme/app",
            "branch": "feat/one",
            "revision": "a" * 40,
            "workspace": "default",
            "url": "https://app-feat-one.previews.test",
            "alias_url": "https://app-aaaaaaaa.previews.test",
            "secrets": {"STRIPE": SecretStr("canary-of-stripe")},
            "manifests": {"k8s/all.yaml": MANIFESTS},
            **fields,
        }
    )


def of_image(**fields):
    return of_revision(bundle(**fields), parse_preview(SPEC, abilities=CLUSTER), IMAGE)


def of_manifests(**fields):
    text = SPEC.replace("kind: dockerfile, path: Dockerfile", "kind: manifest, path: k8s")
    text = text[: text.index("  resources:")]
    return of_revision(bundle(**fields), parse_preview(text, abilities=CLUSTER), "")


def every_object():
    spec, one = parse_preview(SPEC, abilities=CLUSTER), bundle()
    yield from of_image().objects
    yield from of_manifests().objects
    yield policy(one)
    yield routes.alias(one, of_image().entry, INGRESSES)
    yield routes.url(one, of_manifests().entry, INGRESSES)
    for each in spec.dependencies:
        yield dependencies.secret(one, each)
        yield from dependencies.server(one, each)


def the(objects, kind):
    return next(each for each in objects if each["kind"] == kind)


def container(objects, kind="Deployment"):
    return the(objects, kind)["spec"]["template"]["spec"]["containers"][0]


def environment(objects):
    return {each["name"]: each for each in container(objects)["env"]}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object_strictly(version):
    for each in every_object():
        kubernetes_validate.validate(each, version, strict=True)


def test_every_pod_is_restricted_and_gets_no_token():
    pods = [
        each["spec"]["template"]["spec"]
        for each in every_object()
        if "template" in each.get("spec", {})
    ]
    assert len(pods) == 5
    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["priorityClassName"] == "x1-preview"
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for each in pod["containers"]:
            assert each["securityContext"]["allowPrivilegeEscalation"] is False
            assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_secrets_stand_in_secrets_alone():
    rest = [each for each in every_object() if each["kind"] != "Secret"]
    assert "canary-of-stripe" not in json.dumps(rest)
    held = the(of_image().objects, "Secret")["data"]
    assert {key: base64.b64decode(text).decode() for key, text in held.items()} == {
        "STRIPE": "canary-of-stripe"
    }


def test_the_environment_has_literals_the_own_url_and_references():
    found = environment(of_image().objects)
    assert found["GREETING"]["value"] == "hello"
    assert found["SELF"]["value"] == "https://app-feat-one.previews.test"
    assert found["PORT"]["value"] == "8000"
    names = Names.of(bundle())
    postgres, redis = parse_preview(SPEC, abilities=CLUSTER).dependencies
    database = found["DATABASE_URL"]["valueFrom"]["secretKeyRef"]
    assert database == {"name": names.dependency(postgres), "key": "url"}
    assert found["CACHE"]["valueFrom"]["secretKeyRef"]["name"] == names.dependency(redis)


def test_a_request_over_the_default_limit_is_its_own_limit():
    resources = container(of_image().objects)["resources"]
    assert (resources["requests"]["cpu"], resources["limits"]["cpu"]) == ("2", "2")
    assert (resources["requests"]["memory"], resources["limits"]["memory"]) == ("1Gi", "1Gi")


def test_no_two_previews_or_revisions_share_a_name():
    names = [
        {each["metadata"]["name"] for each in of_manifests(**fields).objects}
        for fields in ({}, {"preview_id": "other"}, {"revision": "b" * 40})
    ]
    assert len(set.union(*names)) == sum(map(len, names))


def test_a_dependency_of_another_kind_that_takes_a_name_over_shares_nothing_with_the_one_before():
    made = [
        dependencies.secret(bundle(), DependencySpec(kind=kind, name="db", provides=()))
        for kind in ("postgres", "redis")
    ]
    assert made[0]["metadata"]["name"] != made[1]["metadata"]["name"]


def test_what_refers_to_another_object_of_the_manifests_finds_it_by_its_new_name():
    objects = of_manifests().objects
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}
    pod = the(objects, "Deployment")["spec"]["template"]["spec"]
    settings = pod["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    assert ("ConfigMap", settings) in names
    assert pod["volumes"][0]["configMap"]["name"] == settings
    keys = pod["volumes"][1]["projected"]["sources"][0]["secret"]["name"]
    assert ("Secret", keys) in names
    assert environment(objects)["K"]["valueFrom"]["secretKeyRef"]["name"] == keys
    assert ("Service", the(objects, "StatefulSet")["spec"]["serviceName"]) in names


def test_containers_read_from_a_variable_where_a_service_is_and_their_own_come_after():
    objects = of_manifests().objects
    listed = [each["name"] for each in container(objects)["env"]]
    assert listed.index("X1_HOST_DB_MAIN") < listed.index("DB")
    assert environment(objects)["X1_HOST_DB_MAIN"]["value"] == Names.of(bundle()).part(
        "Service", "db-main"
    )
    assert environment(objects)["GREETING"]["value"] == "mine"


def test_a_service_of_the_manifests_selects_its_own_revisions_pods_alone():
    selector = the(of_manifests().objects, "Service")["spec"]["selector"]
    assert selector["x1flows.io/preview"] == bundle().preview_id
    assert selector["x1flows.io/revision"] == "a" * 40
    assert all("namespace" not in each["metadata"] for each in of_manifests().objects)


STEERING = {
    "azure.workload.identity/use": "true",
    "iam.amazonaws.com/role": "admin",
    "linkerd.io/inject": "enabled",
    "eks.amazonaws.com/role-arn": "arn",
    "app.kubernetes.io/managed-by": "Helm",
}


def test_no_key_that_something_in_the_cluster_may_listen_to_is_applied():
    plain = {"tier": "web", "app.kubernetes.io/name": "shop"}
    tags = json.dumps({"labels": {**STEERING, **plain, "app": "web"}})
    notes = json.dumps({"annotations": {"linkerd.io/inject": "enabled", "note": "mine"}})
    text = MANIFESTS.replace("metadata: {labels: {app: web}}", f"metadata: {tags}").replace(
        "metadata: {name: settings}", f"metadata: {{name: settings, {notes[1:]}"
    )
    objects = of_manifests(manifests={"k8s/all.yaml": text}).objects
    labels = the(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert plain.items() <= labels.items()
    assert labels["x1flows.io/preview"] == bundle().preview_id
    assert the(objects, "ConfigMap")["metadata"]["annotations"]["note"] == "mine"
    for each in STEERING:
        assert each not in json.dumps(objects)


def test_a_route_leads_to_the_revisions_service_and_says_so_in_each_answer():
    entry = of_manifests().entry
    for made, host in (
        (routes.alias(bundle(), entry, GATEWAY), "app-aaaaaaaa.previews.test"),
        (routes.url(bundle(), entry, GATEWAY), "app-feat-one.previews.test"),
    ):
        assert made["spec"]["hostnames"] == [host]
        (rule,) = made["spec"]["rules"]
        assert rule["backendRefs"] == [{"name": entry.service, "port": 8000}]
        header = rule["filters"][0]["responseHeaderModifier"]["set"]
        assert header == [{"name": "X-X1-Revision", "value": "a" * 40}]


def test_an_ingress_leads_to_the_revisions_service_and_one_exact_path_to_its_stamp():
    entry = of_manifests().entry
    for made, host in (
        (routes.alias(bundle(), entry, INGRESSES), "app-aaaaaaaa.previews.test"),
        (routes.url(bundle(), entry, INGRESSES), "app-feat-one.previews.test"),
    ):
        (rule,) = made["spec"]["rules"]
        assert rule["host"] == host
        assert [
            (each["pathType"], each["path"], each["backend"]["service"])
            for each in rule["http"]["paths"]
        ] == [
            (
                "Exact",
                f"/.well-known/x1flows/revision/{'a' * 40}",
                {"name": "stamps", "port": {"number": 8702}},
            ),
            ("Prefix", "/", {"name": entry.service, "port": {"number": 8000}}),
        ]
        assert routes.entry_of(made) == entry


def test_an_ingress_has_the_controllers_words_and_names_no_key():
    made = routes.url(bundle(), of_image().entry, INGRESSES)
    assert made["spec"]["ingressClassName"] == "traefik"
    assert made["metadata"]["annotations"]["acme.dev/door"] == "websecure"
    assert made["metadata"]["annotations"]["x1flows.io/revision"] == "a" * 40
    assert "tls" not in made["spec"]
    assert "ingressClassName" not in routes.url(bundle(), of_image().entry, Ingresses())["spec"]


@pytest.mark.parametrize("writer", [GATEWAY, INGRESSES], ids=lambda each: each.kind)
def test_a_revisions_removal_by_its_label_leaves_the_branchs_route(writer):
    entry = of_image().entry
    assert "x1flows.io/revision" in routes.alias(bundle(), entry, writer)["metadata"]["labels"]
    assert "x1flows.io/revision" not in routes.url(bundle(), entry, writer)["metadata"]["labels"]


def test_the_objects_are_plain_data():
    assert yaml.safe_dump_all(list(every_object()))
