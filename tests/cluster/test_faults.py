"""Whatever dies while a session works: its turn is finished by the next activation, once."""

import secrets
import time

import pytest
import strikes
from clusters import SESSIONS, SYSTEM, kubectl, listed, until
from ledgers import RECOVERY_SECONDS, opened

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def ledger(cluster):
    """A session that counts, and what it was told so far."""
    return opened(cluster)


STRIKES = {
    "the runtime": strikes.runtime,
    "the bridge": strikes.container("agent"),
    "the sidecar": strikes.container("sidecar"),
    "the flow": strikes.container("prefect-job"),
    "its pod": strikes.pod,
    "its pod, evicted, with a sidecar that ignores SIGTERM": strikes.evicted_with_a_deaf_sidecar,
    "the worker": strikes.component("worker"),
    "a relay": strikes.component("relay"),
    "the bus": strikes.component("nats"),
    "Prefect": strikes.component("prefect"),
    "the database, for a minute": strikes.database_for_a_minute,
    "containerd": strikes.containerd,
}


@pytest.mark.parametrize("strike", STRIKES.values(), ids=STRIKES.keys())
def test_a_turn_is_finished_once_though_this_dies_in_its_middle(ledger, strike):
    wake = ledger.tell()
    strike(ledger.cluster, ledger.session_id)
    ledger.finished(wake)
    ledger.judge()


@pytest.mark.parametrize("name", ["the bridge", "the sidecar", "the flow", "its pod"])
def test_a_turn_begins_though_this_died_while_the_session_waited(ledger, name):
    STRIKES[name](ledger.cluster, ledger.session_id)
    ledger.finished(ledger.tell())
    ledger.judge()


def test_what_was_neither_tracked_nor_pushed_is_there_in_the_next_pod(ledger):
    mark = secrets.token_hex(4)
    ledger.finished(ledger.cluster.say(ledger.session_id, f"leave work {mark}"))
    before = ledger.cluster.pod(ledger.session_id)
    strikes.pod(ledger.cluster, ledger.session_id)
    kubectl("wait", "-n", SESSIONS, f"pod/{before}", "--for=delete", "--timeout=180s", seconds=200)
    ledger.finished(ledger.cluster.say(ledger.session_id, f"find work {mark}"))
    found = ledger.cluster.heard(ledger.session_id, f"found not tracked {mark}")
    assert found.splitlines() == [f"found not tracked {mark}", f"not pushed {mark}"]
    assert ledger.cluster.pod(ledger.session_id) != before
    ledger.finished(ledger.tell())
    ledger.judge()


def test_an_agent_that_takes_the_sidecars_ports_when_it_dies_does_not_hold_it_up(ledger):
    """The kubelet may start the sidecar before the agent has a port: it is struck until the agent was the first once."""
    for _ in range(5):
        has_taken = _takes_a_port(ledger)
        ledger.finished(ledger.tell())
        ledger.judge()
        if has_taken:
            return
    pytest.fail("the agent never took a port of the sidecar's")


def _takes_a_port(ledger):
    wake = ledger.cluster.say(ledger.session_id, "take the ports")
    pod = ledger.cluster.pod(ledger.session_id)
    with ledger.cluster.following(pod, "agent", "/agent/workspace/ports") as told:
        until(
            lambda: "wants" in told.read_text() or ledger.receipt(wake) == "done",
            "the look at the ports",
        )
        strikes.container("sidecar")(ledger.cluster, ledger.session_id)
        ledger.finished(wake)
        return "took" in told.read_text()


def test_a_hire_that_is_asked_for_while_the_api_server_is_away_happens_once(ledger):
    """It is asked for some seconds into the turn; this machine's way to the relay goes through the API server."""
    mark = secrets.token_hex(4)
    before = len(ledger.cluster.events(ledger.session_id, kind="child.spawned"))
    wake = ledger.cluster.say(ledger.session_id, f"hire {mark}")
    until(lambda: ledger.receipt(wake) in {"read", "done"}, "the turn", RECOVERY_SECONDS)
    with strikes.api_server_away():
        time.sleep(25)
    said = ledger.cluster.heard(ledger.session_id, f"for hire {mark}", RECOVERY_SECONDS)
    child = said.split()[1]
    until(
        lambda: ledger.cluster.session(child)["status"] == "complete",
        "the child's end",
        RECOVERY_SECONDS,
    )
    spawned = ledger.cluster.events(ledger.session_id, kind="child.spawned")
    assert len(spawned) == before + 1


def test_an_agent_that_forks_without_end_harms_nobody_and_goes_on(ledger):
    ledger.finished(ledger.cluster.say(ledger.session_id, "fork"))
    ledger.finished(ledger.tell())
    ledger.judge()


def test_an_agent_that_fills_its_disk_is_evicted_and_goes_on_from_what_was_saved(ledger):
    mark = secrets.token_hex(4)
    ledger.finished(ledger.cluster.say(ledger.session_id, f"leave work {mark}"))
    before = ledger.cluster.pod(ledger.session_id)
    wake = ledger.cluster.say(ledger.session_id, f"fill the disk {mark}")
    until(lambda: _is_evicted(before), "its eviction", RECOVERY_SECONDS)
    ledger.finished(wake)
    ledger.cluster.heard(ledger.session_id, f"went on from fill the disk {mark}")
    ledger.finished(ledger.cluster.say(ledger.session_id, f"find work {mark}"))
    found = ledger.cluster.heard(ledger.session_id, f"found not tracked {mark}")
    assert found.splitlines() == [f"found not tracked {mark}", f"not pushed {mark}"]
    assert ledger.cluster.pod(ledger.session_id) != before
    ledger.finished(ledger.tell())
    ledger.judge()


def _is_evicted(pod):
    """By the kubelet's own word, which its events keep when the pod is gone."""
    selector = f"involvedObject.name={pod},reason=Evicted"
    return bool(listed("events", "-n", SESSIONS, "--field-selector", selector))


def test_nothing_is_left_of_what_died(ledger):
    """One pod and one Job for the session that lives; what has ended is removed within its time."""
    until(
        lambda: ledger.cluster.session(ledger.session_id)["status"] in {"running", "parked"},
        "a session that lives",
    )

    def orphans():
        live = {pod["metadata"]["name"] for pod in ledger.cluster.pods(ledger.session_id)}
        running = [
            pod["metadata"]["name"]
            for pod in listed("pods", "-n", SESSIONS)
            if pod["status"]["phase"] in {"Running", "Pending"}
            and "ledger" in pod["metadata"]["labels"].get("prefect.io/flow-run-name", "")
        ]
        return sorted(set(running) - live)

    until(lambda: orphans() == [], "the removal of what is left")
    assert kubectl("get", "service,secret", "-n", SESSIONS, "-o", "name").split() == [
        "secret/x1-prefect-client"
    ]

    def stopped():
        return [
            pod["metadata"]["name"]
            for pod in listed("pods", "-n", SYSTEM)
            if pod["metadata"]["labels"].get("app.kubernetes.io/name") != "installer"
            and pod["status"]["phase"] != "Running"
        ]

    until(lambda: stopped() == [], "a control plane that runs")
