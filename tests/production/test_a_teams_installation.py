"""What the README promises a team, on an installation of its own: one file, as the installation is made once."""

import json
import re
import ssl
import subprocess
import time
from functools import partial

import httpx
import psycopg
import pytest
from clusters import SYSTEM, X1, kubectl, listed, patiently, run, until
from ledgers import opened
from outside import INGRESS, Outside
from team_outside import DOMAIN, REGISTRY
from team_settings import PREVIEWS

from infra.cluster.ingress import previews_way
from infra.cluster.kubectl import Kubectl
from infra.local.demo.example import container_example
from infra.local.demo.screen import Screen
from infra.local.demo.telling import tell
from infra.local.state import StateDir

pytestmark = pytest.mark.timeout(1200)
SERVERS = ("nats-0", "nats-1", "nats-2")
EVENTS = "X1_EVENTS"
IMAGE = re.compile(rf"{re.escape(REGISTRY)}/ws/default/.+@sha256:[0-9a-f]{{64}}")


def event_stream():
    """What its leader says of it; None while the servers choose one, or start."""
    for server in SERVERS:
        found = monitored(server).get(EVENTS)
        if found and found["cluster"].get("leader") == server:
            return found
    return None


def monitored(server):
    """The streams that live on a server, by name; none while it is away."""
    forward = ["kubectl", "port-forward", "-n", SYSTEM, f"pod/{server}", ":8222"]
    with subprocess.Popen(
        forward, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as way:
        try:
            port = re.search(r"127\.0\.0\.1:(\d+)", way.stdout.readline())
            asked = f"http://127.0.0.1:{port[1]}/jsz?streams=true&config=true" if port else ""
            told = httpx.get(asked, trust_env=False, timeout=10).json() if asked else {}
        except (httpx.HTTPError, ValueError):  # no answer, or none of JSON
            told = {}
        finally:
            way.terminate()
    return {
        each["name"]: each
        for account in told.get("account_details") or []
        for each in account.get("stream_detail") or []
    }


def test_all_that_was_installed_is_ready_and_nats_is_three(settings):
    ready = {
        each["metadata"]["name"]: each["status"].get("readyReplicas", 0)
        for each in listed("deployment,statefulset", "-n", SYSTEM)
    }
    assert all(ready.values())
    assert ready["nats"] == 3
    assert not {"postgres", "forge", "registry"} & ready.keys(), "those are outside"


def test_the_database_takes_nobody_without_tls(outside, settings):
    """The control for `sslmode: require`: everything that is ready has come to it by TLS."""
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(outside.database(sslmode="disable"))
    with psycopg.connect(outside.database()) as asking:
        found = asking.execute(
            "SELECT datname, count(*) FROM pg_stat_activity WHERE usename = 'x1' GROUP BY 1"
        ).fetchall()
    assert {name for name, _ in found} >= {"prefect", "x1"}


def test_the_event_stream_lives_on_all_three_servers(cluster):
    def whole():
        found = event_stream()
        return found and all(each["current"] for each in found["cluster"]["replicas"]) and found

    found = until(whole, "an event stream whose copies are current")
    assert found["config"]["num_replicas"] == 3
    peers = {found["cluster"]["leader"], *(each["name"] for each in found["cluster"]["replicas"])}
    assert peers == {*SERVERS}


def test_the_doctor_finds_it_well(settings):
    done = subprocess.run(
        [X1, "cluster", "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    findings = {each["name"]: each for each in json.loads(done.stdout)}
    for name, finding in findings.items():
        of_the_owner = name in {"neighbours", "pids"}
        assert finding["level"] in ({"ok", "warning"} if of_the_owner else {"ok"}), finding
    assert REGISTRY in findings["registry"]["came"]


def test_installing_again_changes_nothing(settings):
    again = run(X1, "cluster", "install", "--settings", str(settings), "--json", seconds=600)
    assert json.loads(again)["changed"] == []


def test_people_reach_the_pages_over_tls_through_their_ingress(outside, settings):
    trusted = ssl.create_default_context(cadata=outside.authority.certificate)
    address = INGRESS or "10.250.0.2:443"

    def asked(host, path):
        with httpx.Client(trust_env=False, verify=trusted, timeout=20) as http:
            extensions = {"sni_hostname": host}
            url = f"https://{address}{path}"
            return http.get(url, headers={"host": host}, extensions=extensions)

    for name, path in (("x1", "/healthz"), ("prefect", "/api/health")):
        page = partial(patiently, partial(asked, f"{name}.{DOMAIN}", path))
        until(lambda page=page: page().is_success, f"the page of {name}")


@pytest.fixture(scope="module")
def previews(settings, tmp_path_factory):
    """As people reach them."""
    return Outside.with_authority_in(tmp_path_factory.mktemp("authority"))


@pytest.mark.filterwarnings("ignore")  # of the demo's clients, which end with its process
async def test_the_arc_ships_what_it_verified_with_forge_and_registry_outside(
    cluster, previews, capsys
):
    began = time.monotonic()
    with previews_way(Kubectl(), INGRESS) as way:
        await tell(StateDir(root=cluster.state_dir), container_example(), Screen(), way)
    played = capsys.readouterr().out
    with capsys.disabled():
        print(played, f"arc in {time.monotonic() - began:.0f} s")  # noqa: T201 - what the run is read for
    assert "R-1 is done" in played
    assert "R-2 is done" in played
    (main,) = [
        each for each in cluster.get("/api/previews")["previews"] if each["branch"] == "main"
    ]
    assert main["url"].endswith(f".{PREVIEWS}")
    answer = previews.asked(main["url"])
    assert (answer.status_code, answer.headers["x-x1-revision"]) == (200, main["serving"])
    assert any(IMAGE.fullmatch(each) for each in images("x1-previews-default"))


def images(namespace):
    pods = listed("pods", "-n", namespace)
    return {container["image"] for pod in pods for container in pod["spec"]["containers"]}


@pytest.fixture(scope="module")
def ledger(cluster):
    return opened(cluster)


def test_a_turn_is_finished_once_though_the_server_that_leads_the_events_dies_in_it(ledger):
    leads = until(event_stream, "a leader of the events")["cluster"]["leader"]
    wake, began = ledger.tell(), time.monotonic()
    kubectl("delete", "pod", leads, "-n", SYSTEM, "--grace-period=0", "--force", "--wait=false")
    ledger.finished(wake)
    print(f"{leads} died: the turn ended {time.monotonic() - began:.1f} s later")  # noqa: T201
    ledger.judge()
    kubectl("rollout", "status", "statefulset/nats", "-n", SYSTEM, "--timeout=300s", seconds=320)
    assert until(event_stream, "another leader")
