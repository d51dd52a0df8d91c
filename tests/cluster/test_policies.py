"""The table of who may talk to whom, each row tried from a pod with the source's labels: what is reached, and all the rest.

A row that is denied proves something only if its target answers somebody: each target is asked by itself, and
each address that is not ours by a pod which no policy holds.
"""

import json
import os
import time
from collections.abc import Iterator

import pytest
from clusters import kubectl, listed, until
from policy_ground import LISTEN, Ask, addresses, apply, ask, namespaces, pod, rendered
from policy_parties import FIXED, PARTIES, Party, policies_of_previews
from policy_table import TABLE, Row

pytestmark = pytest.mark.timeout(1200)

PREFIX = os.environ.get("X1_TEST_NAMESPACE_PREFIX", "x1-table-")
INTERNET = os.environ.get("X1_TEST_INTERNET", "1.1.1.1")
SETTLE_SECONDS = 60.0
"""For policies to be in force for a source's pod that is new, on a busy node."""
MACHINES = ("API server", "kubelet", "kube-dns", "internet")

TEMPLATED = ("Deployment", "StatefulSet", "Job")


def _namespace(party: Party) -> str:
    return PREFIX + party.namespace.removeprefix("x1-")


def _name(key: str) -> str:
    return key.replace(" ", "-")


def _pods() -> list[dict]:
    return [
        pod(
            _name(key),
            _namespace(party),
            party.labels,
            ["python", "-c", LISTEN, json.dumps([party.ports, party.udp_ports])],
        )
        for key, party in PARTIES.items()
    ]


def _policies() -> list[dict]:
    """The overlay's and each preview's. Where they name a namespace that is not ours, this test's stands for it."""
    found = [each for each in rendered(PREFIX) if each["kind"] == "NetworkPolicy"]
    text = json.dumps([*found, *_of_previews()])
    for name in {party.namespace for party in PARTIES.values()} - {"kube-system"}:
        old = json.dumps({"kubernetes.io/metadata.name": name})
        text = text.replace(old, json.dumps({"kubernetes.io/metadata.name": PREFIX + name}))
    return json.loads(text)


def _of_previews() -> list[dict]:
    found = policies_of_previews()
    for each in found:
        each["metadata"]["namespace"] = PREFIX + each["metadata"]["namespace"].removeprefix("x1-")
    return found


def _fixed() -> dict[str, str]:
    def service(name: str, namespace: str) -> str:
        words = ("get", "service", name, "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")
        return kubectl(*words).strip()

    node = next(
        each["address"]
        for each in listed("node")[0]["status"]["addresses"]
        if each["type"] == "InternalIP"
    )
    return {
        "API server": service("kubernetes", "default"),
        "kubelet": node,
        "kube-dns": service("kube-dns", "kube-system"),
        "metadata": "169.254.169.254",
        "internet": INTERNET,
    }


@pytest.fixture(scope="module")
def ground() -> Iterator[dict[str, str]]:
    """The address of every party, with the policies around those that are ours."""
    wanted = _policies()
    with namespaces(
        [*(_namespace(each) for each in PARTIES.values()), *(_place(each) for each in wanted)]
    ):
        apply(wanted)
        apply(_pods())
        found = addresses((_namespace(party), _name(key)) for key, party in PARTIES.items())
        yield _fixed() | {
            key: found[_namespace(party), _name(key)] for key, party in PARTIES.items()
        }


def _place(manifest: dict) -> str:
    return manifest["metadata"]["namespace"]


@pytest.fixture(scope="module")
def answers(ground: dict[str, str]) -> dict[Row, bool]:
    """What each source reached, once it is what the table says, or after a while."""
    found: dict[Row, bool] = {}
    for source in dict.fromkeys(row.source for row in TABLE):
        rows = [row for row in TABLE if row.source == source]
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            reached = _asked(source, [(ground[r.target], r.port, r.protocol) for r in rows])
            found |= dict(zip(rows, reached, strict=True))
            if all(found[row] is row.is_allowed for row in rows) or time.monotonic() > deadline:
                break
    return found


def _asked(source: str, asked: list[Ask]) -> list[bool]:
    return ask(_namespace(PARTIES[source]), _name(source), asked)


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_a_row_of_the_table_holds(answers: dict[Row, bool], row: Row):
    assert answers[row] is row.is_allowed, row.why


@pytest.mark.parametrize("target", sorted({row.target for row in TABLE} & PARTIES.keys()))
def test_what_a_row_is_about_listens_there(ground: dict[str, str], target: str):
    assert _is_reached_whole(target, target, ground)


@pytest.mark.parametrize("target", sorted(FIXED.keys() & MACHINES))
def test_an_address_that_is_not_ours_answers_whom_no_policy_holds(
    ground: dict[str, str], target: str
):
    assert _is_reached_whole("stranger", target, ground)


def _is_reached_whole(source: str, target: str, ground: dict[str, str]) -> bool:
    """At each port that a row is about: a busy node answers late now and then."""
    rows = {(row.port, row.protocol) for row in TABLE if row.target == target}
    asked: list[Ask] = [(ground[target], port, protocol) for port, protocol in rows]
    return until(lambda: all(_asked(source, asked)), f"an answer of {target}", SETTLE_SECONDS)


def test_every_policy_of_ours_is_about_a_party_of_the_table():
    """A component that is added comes with its rows."""
    for policy in _policies():
        selector = policy["spec"]["podSelector"]
        assert _somebody(_place(policy), selector), policy["metadata"]


def test_every_workload_of_ours_is_a_party_of_the_table():
    for each in rendered(PREFIX):
        if each["kind"] in TEMPLATED:
            labels = dict(each["spec"]["template"]["metadata"]["labels"])
            labels.pop("app.kubernetes.io/part-of")  # everybody's, and no policy asks for it
            assert _somebody(_place(each), {"matchLabels": labels}), each["metadata"]


def _somebody(namespace: str, selector: dict) -> bool:
    return any(
        _namespace(party) == namespace and _is_selected(selector, party.labels)
        for party in PARTIES.values()
    )


def _is_selected(selector: dict, labels: dict[str, str]) -> bool:
    """By labels, and by lists of what a label may be: our manifests say it in no other way."""
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        each["operator"] == "In" and labels.get(each["key"]) in each["values"]
        for each in selector.get("matchExpressions", ())
    )
