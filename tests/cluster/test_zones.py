"""What an agent finds in its container: nothing that opens anything, nobody it may talk to but its sidecar."""

import base64
import json
import re

import pytest
from clusters import SESSIONS, SYSTEM, Cluster, kubectl, listed

SEARCH = r"""
import os, sys
wanted = {name: text for name, text in (line.rstrip("\n").split("\t", 1) for line in sys.stdin)}
found, read = [], 0
def look(path):
    global read
    try:
        with open(path, "rb") as file:
            content = file.read(1 << 20)
    except OSError:
        return
    read += 1
    for name, text in wanted.items():
        if text.encode() in content:
            found.append(f"{name} in {path}")
for root in ("/agent", "/run", "/var", "/tmp", "/etc", "/app", "/home", "/root", "/opt", "/srv", "/mnt", "/dev/shm"):
    for folder, names, files in os.walk(root):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                look(path)
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline", "maps"):
        look(f"/proc/{pid}/{name}")
print(read)
print("\n".join(found))
"""

ASK = r"""
import json, socket, sys
def ask(host, port):
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            return "connected"
    except socket.gaierror:
        return "no such name"
    except OSError as error:
        return type(error).__name__
print(json.dumps({f"{host}:{port}": ask(host, port) for host, port in json.loads(sys.argv[1])}))
"""


def python(cluster: Cluster, pod: str, code: str, *words: str, given: str | None = None) -> str:
    return cluster.inside(pod, "agent", ["python", "-c", code, *words], given)


def _cluster_ip(service: str) -> str:
    return kubectl(
        "get", "service", service, "-n", SYSTEM, "-o", "jsonpath={.spec.clusterIP}"
    ).strip()


PUBLIC = ("address", "cert.pem", "public.pem", "bus-server.json", "keys.conf", ".crt")
"""Ends of keys beside the secrets that are none: addresses, certificates, public keys, the bus's signed accounts."""


def secrets() -> dict[str, str]:
    """Every value of every Secret of the installation that is long enough to be one."""
    found = {}
    for namespace in (SYSTEM, SESSIONS):
        for each in listed("secret", "-n", namespace):
            for key, value in each.get("data", {}).items():
                if key.endswith(PUBLIC):
                    continue
                text = base64.b64decode(value).decode(errors="ignore").strip()
                for line in text.splitlines():
                    part = line.strip()
                    if re.fullmatch(r"[A-Za-z0-9+/=_:.@-]{16,}", part):
                        found[f"{each['metadata']['name']}/{key}"] = part
    return found


def test_no_secret_of_the_installation_is_in_files_environment_or_arguments(
    cluster, prober, probers_pod
):
    wanted = secrets() | {"control": "/agent/workspace"}
    assert len(wanted) > 8
    given = "".join(f"{name}\t{text}\n" for name, text in wanted.items())
    read, *found = python(cluster, probers_pod, SEARCH, given=given).strip().splitlines()
    assert int(read) > 20
    assert [each for each in found if each.startswith("control")], "the search finds nothing"
    assert [each for each in found if not each.startswith("control")] == []


def test_its_environment_names_no_service_and_no_credential(cluster, prober, probers_pod):
    told = cluster.inside(probers_pod, "agent", ["env"])
    names = {line.partition("=")[0] for line in told.splitlines()}
    assert "X1_BRIDGE_SOCKET" in names
    assert [n for n in names if n.startswith(("PREFECT_", "RELAY_", "NATS_", "POSTGRES_"))] == []
    assert [n for n in names if re.search("TOKEN|SECRET|PASSWORD|_AUTH|KEY", n)] == []


def test_it_has_its_own_uid_no_capability_and_no_way_to_more(cluster, prober, probers_pod):
    status = cluster.inside(probers_pod, "agent", ["cat", "/proc/self/status"])
    values = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    assert values["Uid"].split() == ["10003"] * 4
    assert {int(values[each], 16) for each in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert values["NoNewPrivs"] == "1"
    assert values["Seccomp"] == "2"
    uid = cluster.inside(probers_pod, "sidecar", ["python", "-c", "import os; print(os.getuid())"])
    assert uid.strip() == "10002"


def test_it_sees_no_process_and_no_file_of_the_sidecar(cluster, prober, probers_pod):
    commands = python(
        cluster,
        probers_pod,
        "import os\n"
        "for p in filter(str.isdigit, os.listdir('/proc')):\n"
        "    try:\n        print(open(f'/proc/{p}/cmdline').read().replace('\\0', ' '))\n"
        "    except (FileNotFoundError, ProcessLookupError):\n        pass  # it has ended",
    )
    assert "sidecar bridge" in commands, "the positive control"
    assert "sidecar pod" not in commands
    assert "prefect" not in commands
    for path in ("/run/x1/control", "/var/lib/x1", "/run/x1/relay-token", "/var/run/secrets"):
        there = python(cluster, probers_pod, f"import os; print(os.path.exists({path!r}))")
        assert there.strip() == "False", path


def test_its_first_act_already_reached_nobody_and_found_no_token(cluster, prober):
    told = next(each for each in reversed(cluster.words(prober)) if "FIRST LOOK" in each)
    found = json.loads(re.search(r"FIRST LOOK (\{.*\})", told).group(1))
    assert found["uid"] == 10003
    assert "connected" not in found["denied"].values(), found
    assert found["allowed"] == "connected", "the positive control"
    assert found["names"] == {"relay.x1-system.svc": True, "example.com": False}
    assert found["tokens"] == ["/tmp/planted"], "its own, which shows that the search finds"


def test_it_reaches_no_address_but_those_that_its_sidecar_needs(cluster, prober, probers_pod):
    api = listed("service", "-n", "default", "--field-selector=metadata.name=kubernetes")[0]
    node = listed("node")[0]["status"]["addresses"][0]["address"]
    denied = [
        [api["spec"]["clusterIP"], 443],
        [node, 10250],
        ["169.254.169.254", 80],
        ["1.1.1.1", 443],
        [_cluster_ip("postgres"), 5432],
    ]
    answers = json.loads(python(cluster, probers_pod, ASK, json.dumps(denied)))
    assert "connected" not in answers.values(), answers
    relay = [[_cluster_ip("relay"), 8700]]
    assert set(json.loads(python(cluster, probers_pod, ASK, json.dumps(relay))).values()) == {
        "connected"
    }, "the positive control"


@pytest.mark.parametrize(
    ("service", "port", "path"),
    [
        ("relay", 8700, "/api/sessions"),
        ("relay", 8700, "/internal/sessions/claim"),
        ("prefect", 4200, "/api/flow_runs/count"),
    ],
)
def test_whom_it_can_reach_asks_for_a_credential_that_it_has_not(
    cluster, probers_pod, service, port, path
):
    code = (
        "import sys, urllib.request, urllib.error\n"
        "request = urllib.request.Request(sys.argv[1], data=b'{}', method='POST')\n"
        "request.add_header('content-type', 'application/json')\n"
        "try:\n    print(urllib.request.urlopen(request, timeout=30).status)\n"
        "except urllib.error.HTTPError as error:\n    print(error.code)"
    )
    url = f"http://{_cluster_ip(service)}:{port}{path}"
    assert python(cluster, probers_pod, code, url).strip() in {"401", "403"}


def test_no_foreign_name_resolves_for_it(cluster, prober, probers_pod):
    code = (
        "import json, socket, sys\n"
        "def known(name, tries=3):\n"
        "    try:\n        return bool(socket.getaddrinfo(name, 80))\n"
        "    except socket.gaierror as error:\n"
        "        is_late = error.errno == socket.EAI_AGAIN and tries > 1\n"
        "        return is_late and known(name, tries - 1)\n"
        "print(json.dumps([known(name) for name in sys.argv[1:]]))"
    )
    names = ["relay.x1-system.svc", "example.com", "kubernetes.default.svc", "a.b.example.org"]
    assert json.loads(python(cluster, probers_pod, code, *names)) == [True, False, False, False]


def test_it_cannot_take_the_sidecars_place(cluster, prober, probers_pod):
    """The control socket is on a volume that it does not mount; the loopback ports in use cannot be bound again."""
    listening = cluster.inside(probers_pod, "sidecar", ["cat", "/proc/net/tcp"])
    ports = {
        int(line.split()[1].split(":")[1], 16)
        for line in listening.splitlines()[1:]
        if line.split()[3] == "0A"
    }
    assert ports, "the sidecar listens nowhere"
    code = (
        "import socket, sys\n"
        "for port in map(int, sys.argv[1:]):\n"
        "    with socket.socket() as taken:\n"
        "        try:\n            taken.bind(('127.0.0.1', port)); print('bound', port)\n"
        "        except OSError as error:\n            print(error.strerror)"
    )
    said = python(cluster, probers_pod, code, *map(str, ports))
    assert "bound" not in said


def test_no_secret_stands_in_pods_jobs_events_or_logs(cluster, prober):
    wanted = secrets()
    shown = kubectl("get", "pods,jobs,events,configmaps", "-A", "-o", "json")
    shown += "".join(
        kubectl("logs", "-n", SYSTEM, f"deployment/{each}", "--all-containers", "--tail=-1")
        for each in ("relay", "worker", "prefect")
    )
    assert "x1-sessions" in shown
    assert [name for name, text in wanted.items() if text in shown] == []
