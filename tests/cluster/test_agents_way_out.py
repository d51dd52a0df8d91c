"""A real agent of an installation, and what it reaches outside: the hosts of its file, and those that a human adds."""

import json
from itertools import count
from pathlib import Path

import pytest
from clusters import SYSTEM, kubectl, until

pytestmark = pytest.mark.timeout(600)
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def traveller(cluster):
    cluster.x1("agents", "apply", str(HERE / "agents"))
    return cluster.start("traveller", "hello")


def visited(cluster, session_id, url):
    cluster.say(session_id, f"visit {url}")
    return cluster.heard(session_id, f"VISITED {url}: ").partition(f"{url}: ")[2].strip()


def test_it_reaches_a_host_of_its_file(cluster, traveller):
    assert visited(cluster, traveller, "https://pypi.org/simple/") == "200"


def test_it_reads_why_another_is_refused(cluster, traveller):
    said = visited(cluster, traveller, "https://example.com/")
    assert "403 egress: example.com is not in this agent's allow_hosts" in said


def test_a_host_of_its_file_that_leads_inside_is_refused(cluster, traveller):
    said = visited(cluster, traveller, "https://kubernetes.default.svc.cluster.local/")
    assert "does not lead outside" in said


def test_a_humans_grant_opens_a_host_for_the_session_that_runs(cluster, traveller):
    grant = {"agent": "traveller", "type": "network", "target": "files.pythonhosted.org"}
    cluster.post("/api/grants", grant | {"scope": "session", "session_id": traveller})
    until_renewed(cluster, traveller)
    said = visited(cluster, traveller, "https://files.pythonhosted.org/")
    assert "allow_hosts" not in said, said


def until_renewed(cluster, session_id):
    """A pass is made anew with each renewal of the lease, every five seconds. Each URL is told once."""
    numbers = count()

    def is_let_through():
        url = f"https://files.pythonhosted.org/{next(numbers)}"
        return "allow_hosts" not in visited(cluster, session_id, url)

    until(is_let_through, "the grant to take effect", 60)


def test_the_proxys_log_names_session_and_host_and_no_pass(cluster, traveller):
    lines = kubectl(
        "logs", "-n", SYSTEM, "deployment/egress", "--all-pods", "--tail=-1"
    ).splitlines()
    told = [json.loads(line[line.index("{") :]) for line in lines if "egress allowed" in line]
    assert (traveller, "pypi.org") in {(each["session_id"], each["host"]) for each in told}
    assert not [line for line in lines if "eyJ" in line]
