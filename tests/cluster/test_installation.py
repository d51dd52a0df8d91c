"""What an operator does with an installation: looks whether it is well, installs again, replaces secrets."""

import json
import secrets
import signal
import subprocess
from pathlib import Path

import pytest
from belongings import belongings
from clusters import X1, images, kubectl, listed, run, until, workspaces

from infra.cluster.kubectl import Kubectl
from infra.cluster.rendering import MANIFESTS, Wish, render

pytestmark = pytest.mark.timeout(900)
HERE = Path(__file__).parent
OVERLAYS = MANIFESTS / "overlays"
BUT_JOBS = {"Job"}
"""They are made anew when they are to run again, as their pods cannot be changed."""


def wish(overlay, **values):
    _, prefix, _, tag, *_ = images()
    return Wish(overlay=overlay, prefix=prefix, tag=tag, values=values)


def scratch():
    return listed("namespace,pod", "-A", "-l", "app.kubernetes.io/component=doctor")


def installed_again():
    return json.loads(run(X1, "cluster", "install", *images(), "--json", seconds=600))["changed"]


@pytest.mark.parametrize("route", ["gateway", "ingress"])
@pytest.mark.parametrize("overlay", ["local", "production"])
def test_the_api_server_takes_every_object_strictly(installed, overlay, route):
    values = {"previews-route": route, "workspaces": json.dumps(workspaces())}
    objects = [
        {**each, "metadata": {**each["metadata"], "name": f"try-{each['metadata']['name']}"}}
        if each["kind"] == "StatefulSet"  # most of one that is there cannot be changed
        else each
        for each in render(Kubectl(), wish(overlay, **values))
        if each["kind"] not in BUT_JOBS
    ]
    kubectl(
        *("apply", "--server-side", "--force-conflicts", "--field-manager", "x1"),
        *("--dry-run=server", "--validate=strict", "-f", "-"),
        given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
    )


def test_installing_again_changes_nothing_and_runs_nothing(installed):
    before = [each["metadata"]["uid"] for each in listed("job", "-n", "x1-system")]
    assert installed_again() == []
    assert [each["metadata"]["uid"] for each in listed("job", "-n", "x1-system")] == before


def test_another_overlay_is_refused_before_anything_is_changed(installed, tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text((OVERLAYS / "production" / "settings.example.yaml").read_text())
    (tmp_path / "github-app.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    (tmp_path / "postgres-password").write_text("none")
    done = subprocess.run(
        [X1, "cluster", "install", "--settings", str(settings)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "expected: the overlay local" in done.stderr
    assert installed_again() == []


def test_every_object_of_the_installation_is_labelled(installed):
    ours = [
        (each["kind"], each["metadata"]["name"])
        for each in listed(
            "deployment,statefulset,service,configmap,secret,networkpolicy,role,rolebinding,pdb,resourcequota",
            "-n",
            "x1-system",
        )
        if each["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") != "x1flows"
    ]
    of_others = {("ConfigMap", "kube-root-ca.crt"), ("Secret", "x1-named")}
    """Kubernetes' own, and the operator's."""
    assert [each for each in ours if each not in of_others] == []


def test_what_an_uninstallation_is_held_to_sees_all_kinds_of_an_installation(installed):
    kinds = {each.split(" ")[0] for each in belongings()}
    assert kinds >= {"Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding"}
    assert kinds >= {"PersistentVolume", "PersistentVolumeClaim", "Secret", "Gateway", "Pod"}


def test_pods_of_the_control_plane_and_of_sessions_are_listed_by_our_label(cluster, probers_pod):
    shown = {
        (each["metadata"]["namespace"], each["metadata"]["name"])
        for each in listed("pods", "-A", "-l", "app.kubernetes.io/part-of=x1flows")
    }
    assert ("x1-sessions", probers_pod) in shown
    everybody = listed("pods", "-n", "x1-system")
    assert shown >= {("x1-system", each["metadata"]["name"]) for each in everybody}


def test_the_doctor_finds_this_cluster_well_and_leaves_nothing(installed):
    done = subprocess.run(
        [X1, "cluster", "doctor", "--json", *images()],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    findings = {each["name"]: each for each in json.loads(done.stdout)}
    looked_at = ("version", "permissions", "storage", "gateway", "network-policy", "registry")
    for name in (*looked_at, "session-dns"):
        assert findings[name]["level"] == "ok", findings[name]
    for name in ("neighbours", "pids"):  # how a cluster is kept is its owner's
        assert findings[name]["level"] in {"ok", "warning"}, findings[name]
    assert scratch() == []


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_doctor_that_is_stopped_takes_its_pods_with_it(installed, told):
    # What a shell starts in its background ignores SIGINT, and so does whatever is started by that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen([X1, "cluster", "doctor"], stdout=subprocess.DEVNULL) as doctor:
        until(scratch, "the doctor's pods")
        doctor.send_signal(told)
        assert doctor.wait(120) != 0
    assert scratch() == []


def test_a_session_goes_on_while_secrets_are_rotated(own_connection):
    """All that this test's own connection does not log in with while it is needed: Prefect's comes last."""
    cluster = own_connection
    cluster.x1("agents", "apply", str(HERE / "agents"))
    mark = secrets.token_hex(4)
    session = cluster.start("prober", f"hello {mark}")
    cluster.heard(session, f"heard hello {mark}")
    for name in ("session-key", "bus", "postgres", "forge-key", "prefect"):
        run(X1, "cluster", "rotate", "--yes", name, seconds=600)
        cluster.say(session, f"after {name} {mark}")
        cluster.heard(session, f"heard after {name} {mark}", 240)
    said = [each for each in cluster.words(session) if each.endswith(mark)]
    assert len(said) == len(set(said)) == 6
    assert installed_again() == []
