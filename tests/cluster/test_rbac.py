"""What each service account of ours may do, as the API server itself decides: no more than its work needs."""

import json

import pytest
from clusters import kubectl, listed, workspaces

from sidecar.domain.workspace import previews_namespace

PREVIEWS = tuple(map(previews_namespace, workspaces()))
SPACES = (
    "x1-system",
    "x1-sessions",
    "x1-operations",
    "x1-builds",
    *PREVIEWS,
    "x1-gateway",
    "kube-system",
)
DENIED = [
    *(("get", "secrets"), ("list", "secrets"), ("watch", "secrets"), ("delete", "secrets")),
    *(("create", "pods"), ("patch", "pods"), ("create", "pods/exec"), ("get", "pods/exec")),
    *(
        ("create", "pods/attach"),
        ("create", "pods/portforward"),
        ("patch", "pods/ephemeralcontainers"),
    ),
    *(("create", "serviceaccounts/token"), ("impersonate", "serviceaccounts")),
    *(
        ("create", "roles.rbac.authorization.k8s.io"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
    ),
    *(("get", "nodes/proxy"), ("create", "namespaces"), ("patch", "namespaces")),
]
"""Nobody's, anywhere: what lets one read another's secret, or become somebody else."""
NEEDED = {
    ("x1-system", "relay"): [
        ("create", "tokenreviews.authentication.k8s.io", "x1-system"),
        ("delete", "jobs.batch", "x1-sessions"),
    ],
    ("x1-system", "worker"): [("create", "jobs.batch", "x1-sessions")],
    ("x1-system", "worker-previews"): [("create", "jobs.batch", "x1-operations")],
    ("x1-system", "installer"): [],
    ("x1-system", "prefect"): [],
    ("x1-sessions", "session"): [],
    ("x1-builds", "build"): [],
    ("x1-operations", "preview"): [
        ("create", "jobs.batch", "x1-builds"),
        ("create", "secrets", "x1-builds"),
        *(
            ("create", each, space)
            for space in PREVIEWS
            for each in ("secrets", "deployments.apps")
        ),
    ],
}
"""Each one's positive control: what its work is."""
WRITES = ("create", "patch", "delete", "deletecollection")
OBJECTS = (
    "jobs.batch",
    "deployments.apps",
    "statefulsets.apps",
    "secrets",
    "configmaps",
    "services",
)
WRITERS = {
    ("x1-system", "relay"): {"x1-sessions", "x1-operations"},
    ("x1-system", "worker"): {"x1-sessions"},
    ("x1-system", "worker-previews"): {"x1-operations"},
    ("x1-operations", "preview"): {"x1-builds", *PREVIEWS},
}
"""The only namespaces in which somebody may change something."""

pytestmark = pytest.mark.timeout(600)
accounts = pytest.mark.parametrize("account", NEEDED, ids="/".join)


def allowed(account, questions):
    """Those of `questions` (verb, resource, namespace) that the API server answers with yes."""
    reviews = [_review(account, *each) for each in questions]
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": reviews})
    shown = "jsonpath={.status.allowed}{'\\n'}"
    answers = kubectl("create", "-f", "-", "-o", shown, given=given).split()
    return [each for each, answer in zip(questions, answers, strict=True) if answer == "true"]


def _review(account, verb, resource, namespace):
    kind, _, subresource = resource.partition("/")
    name, _, group = kind.partition(".")
    asked = {"verb": verb, "resource": name, "group": group, "namespace": namespace}
    spec = {
        "user": f"system:serviceaccount:{account[0]}:{account[1]}",
        "groups": [
            "system:serviceaccounts",
            f"system:serviceaccounts:{account[0]}",
            "system:authenticated",
        ],
        "resourceAttributes": asked | ({"subresource": subresource} if subresource else {}),
    }
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


@accounts
def test_it_may_do_its_work(installed, account):
    """Those without do nothing with the API: of them, the next two tests tell."""
    wanted = NEEDED[account]
    assert (allowed(account, wanted) if wanted else []) == wanted


@accounts
def test_it_may_read_no_secret_make_no_pod_and_become_nobody_else(installed, account):
    assert allowed(account, [(*each, space) for each in DENIED for space in SPACES]) == []


@accounts
def test_it_changes_something_only_where_its_work_is(installed, account):
    every = [(verb, each, space) for verb in WRITES for each in OBJECTS for space in SPACES]
    assert {space for _, _, space in allowed(account, every)} == WRITERS.get(account, set())


def test_every_service_account_of_ours_is_looked_at(installed):
    label = ("-l", "app.kubernetes.io/part-of=x1flows")
    found = {
        (each["metadata"]["namespace"], each["metadata"]["name"])
        for each in listed("serviceaccounts", "-A", *label)
    }
    assert found == NEEDED.keys()
