"""What the doctor finds by asking alone, each with its remedy when it is not as it must be."""

import json
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from typer.testing import CliRunner

from infra.cluster.doctor import asking, door, examination, names
from infra.cluster.doctor.finding import Level
from infra.local.cli.app import app

DEFAULT = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
DOOR = {"kind": "Gateway", "spec": {"gatewayClassName": "traefik"}}
WELL = [{"type": name, "status": "True"} for name in ("Accepted", "Programmed", "ResolvedRefs")]


def named(name, **metadata):
    return {"metadata": {"name": name, **metadata}}


def claim(storage_class=None):
    spec = {"storageClassName": storage_class} if storage_class else {}
    return {"kind": "StatefulSet", "spec": {"volumeClaimTemplates": [{"spec": spec}]}}


def condition(name, status, message=""):
    return {"type": name, "status": status, "message": message}


class Cluster:
    """Answers `get` with what stands; `says` is what other commands print, by their first word."""

    def __init__(self, says=None, **standing):
        self.says, self.standing = says or {}, standing

    def listing(self, kind, *words):
        return self.standing.get(kind.partition(".")[0], [])

    def get(self, kind, name, namespace=None):
        return self.standing.get(kind)

    def must(self, *words, given=None):
        said = self.says[words[0]]
        return said(given) if callable(said) else said


def served(*, listener=WELL, gateway=WELL):
    accepted = {**named("traefik"), "status": {"conditions": WELL}}
    status = {"conditions": gateway, "listeners": [{"name": "https", "conditions": listener}]}
    return Cluster(
        crd={}, gatewayclasses=[accepted], gateway={**named("previews"), "status": status}
    )


def test_a_cluster_that_is_too_old_is_to_be_upgraded():
    told = {"serverVersion": {"major": "1", "minor": "28+", "gitVersion": "v1.28.3"}}
    finding = asking.version(Cluster({"version": json.dumps(told)}))
    assert (finding.level, finding.came) == (Level.FAILED, "v1.28.3")
    assert finding.remedy == "upgrade the cluster"


def test_the_class_that_the_settings_name_must_be_there_whatever_the_default_is():
    cluster = Cluster(storageclass=[named("slow", **DEFAULT)])
    finding = asking.storage_class(cluster, [claim("fast")])
    assert (finding.level, finding.came) == (Level.FAILED, "slow")
    assert "fast" in finding.remedy
    assert asking.storage_class(cluster, [claim("slow")]).level is Level.OK


def test_without_a_name_there_must_be_a_default_class():
    cluster = Cluster(storageclass=[named("slow")])
    finding = asking.storage_class(cluster, [claim()])
    assert finding.level is Level.FAILED
    assert "kubectl annotate storageclass" in finding.remedy
    cluster = Cluster(storageclass=[named("slow", **DEFAULT)])
    assert asking.storage_class(cluster, [claim()]).level is Level.OK


def test_a_cluster_without_gateway_api_is_told_what_to_install():
    finding = asking.gateway(Cluster(), [DOOR])
    assert (finding.level, finding.came) == (Level.FAILED, "the cluster has no Gateway API")
    assert "Traefik" in finding.remedy


def test_another_accepted_class_than_the_wished_one_does_not_serve():
    other = {**named("cilium"), "status": {"conditions": WELL}}
    finding = asking.gateway(Cluster(crd={}, gatewayclasses=[other, named("traefik")]), [DOOR])
    assert (finding.level, finding.came) == (Level.FAILED, "accepted: cilium")
    assert "gateway_class" in finding.remedy


def test_a_gateway_that_its_controller_serves_is_well():
    assert asking.gateway(served(), [DOOR]).level is Level.OK


@pytest.mark.parametrize(
    ("cluster", "came"),
    [
        (
            served(gateway=[condition("Programmed", "False", "no address is free")]),
            "not Programmed: no address is free",
        ),
        (served(gateway=[]), "not Programmed: no controller says so"),
        (
            served(listener=[*WELL[:2], condition("ResolvedRefs", "False", "no Secret")]),
            "listener https is not ResolvedRefs: no Secret",
        ),
    ],
)
def test_a_gateway_that_is_not_served_is_told_in_the_controllers_words(cluster, came):
    finding = asking.gateway(cluster, [DOOR])
    assert (finding.level, finding.came) == (Level.FAILED, came)
    assert "describe gateway previews" in finding.remedy


def test_what_the_operator_may_not_do_is_named():
    objects = [{"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "x1-system"}}]

    def reviewed(given):
        asked = [each["spec"]["resourceAttributes"] for each in json.loads(given)["items"]]
        return "".join(
            f"{str(each['resource'] != 'services').lower()} {each['verb']} {each['resource']} {each['namespace']}\n"
            for each in asked
        )

    listed = "services  svc  v1  true  Service\n"
    finding = asking.permissions(Cluster({"api-resources": listed, "create": reviewed}), objects)
    assert finding.level is Level.FAILED
    assert finding.came == (
        "refused: create services in x1-system, delete services in x1-system, patch services in x1-system"
    )
    assert "cluster-admin" in finding.remedy


def test_files_that_the_settings_name_are_looked_for_beside_them(tmp_path, monkeypatch):
    (tmp_path / "buildkitd.toml").write_text("# of this installation")
    settings = tmp_path / "settings.yaml"
    settings.write_text("builds: {buildkitd_file: buildkitd.toml}")
    wishes = []
    monkeypatch.setattr(
        examination, "examined", lambda _, wish, __: iter(wishes.append(wish) or ())
    )
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    done = CliRunner().invoke(app, ["cluster", "doctor", "--settings", str(settings)])
    assert done.exit_code == 0, done.output
    assert wishes[0].values["buildkitd"] == "# of this installation"


def values(**given):
    data = {"gateway-service": "traefik.ingress.svc.cluster.local", **given}
    return [{"kind": "ConfigMap", **named("x1-values"), "data": data}]


def a_service(*ports, name="traefik", namespace="ingress", kind="ClusterIP"):
    spec = {"type": kind, "ports": [{"port": each} for each in ports]}
    return {**named(name, namespace=namespace), "spec": spec}


def slices(*ready):
    return [{"endpoints": [{"conditions": {"ready": each}} for each in ready]}]


def test_the_service_that_leads_to_previews_has_pods():
    cluster = Cluster(service=a_service(80, 443), endpointslices=slices(False, True))
    assert door.service(cluster, values()).level is Level.OK


@pytest.mark.parametrize(
    ("standing", "came"),
    [
        (
            {"service": None, "others": [a_service(443, name="lb", kind="LoadBalancer")]},
            "it is not there; open at 443 are lb.ingress",
        ),
        ({"service": None}, "it is not there; none is like it"),
        ({"service": a_service(80, 8443)}, "its ports are 80, 8443"),
        (
            {"service": a_service(443), "endpointslices": slices(False)},
            "no pod behind it is ready",
        ),
        ({"service": a_service(443)}, "no pod behind it is ready"),
    ],
)
def test_a_service_that_leads_to_no_preview_is_named_before_one_is_deployed(standing, came):
    class Elsewhere(Cluster):
        def listing(self, kind, *words):
            return super().listing("others" if kind == "service" else kind, *words)

    finding = door.service(Elsewhere(**standing), values())
    assert (finding.level, finding.came) == (Level.FAILED, came)
    assert finding.remedy


def dns(answers):
    """What the probe's pod is told, by name."""

    class Asked(Cluster):
        def run(self, *words):
            told = answers.get(words[-1])
            return CompletedProcess(words, 0 if told else 1, f"{told}\n", "")

    told = {"cluster-domain": "acme.local", "previews-domain": "previews.acme.dev"}
    return names._judged(Asked(), "probe", values(**told)[0]["data"])


RELAY, PREVIEW = "relay.x1-system.svc.acme.local", "doctor.previews.acme.dev"


def test_sessions_know_the_relay_and_previews_and_nothing_else():
    assert dns({RELAY: "10.0.0.1", PREVIEW: "10.0.0.2"}).level is Level.OK
    lost = dns({RELAY: "10.0.0.1"})
    assert (lost.level, lost.came) == (
        Level.FAILED,
        f"{PREVIEW} is not resolved: it is led to traefik.ingress.svc.cluster.local",
    )
    assert dns({PREVIEW: "10.0.0.2"}).came == f"{RELAY} is not resolved"
    open_wide = {RELAY: "10.0.0.1", PREVIEW: "10.0.0.2", "example.com": "192.0.2.1"}
    assert dns(open_wide).level is Level.FAILED
