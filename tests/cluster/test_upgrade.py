"""An upgrade in the middle of a turn: the pod that runs keeps its images and ends its turn, the next has the new ones.

The new version is the same images under another tag, which the test writes into the registry that the nodes pull from.
"""

import json
import os
import secrets
from pathlib import Path

import httpx
import pytest
from clusters import SESSIONS, SYSTEM, X1, images, kubectl, listed, run, until

from infra.cluster.images import NAMES

pytestmark = pytest.mark.timeout(1800)
HERE = Path(__file__).parent
OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution"
ANY_MANIFEST = [f"{OCI}.manifest.v1+json", f"{OCI}.index.v1+json"]
ANY_MANIFEST += [f"{DOCKER}.manifest.v2+json", f"{DOCKER}.manifest.list.v2+json"]


def tagged_again(tag):
    """The same manifests under a new tag; X1_MIRROR is the registry's address, as the test bed says it."""
    _, prefix, _, old, *_ = images()
    address = os.environ.get("X1_MIRROR")
    assert address, (
        "X1_MIRROR: host:port of the registry (plain HTTP) that the nodes pull our images from"
    )
    with httpx.Client(base_url=f"http://{address}", trust_env=False, timeout=30) as registry:
        for name in NAMES:
            manifests = f"/v2/{prefix.removeprefix(f'{address}/')}{name}/manifests"
            found = registry.get(f"{manifests}/{old}", headers={"accept": ", ".join(ANY_MANIFEST)})
            found.raise_for_status()
            kind = {"content-type": found.headers["content-type"]}
            put = registry.put(f"{manifests}/{tag}", content=found.content, headers=kind)
            put.raise_for_status()


def upgraded_to(tag):
    return json.loads(run(X1, "cluster", "upgrade", "--tag", tag, "--json", seconds=900))["changed"]


def tags_of(pod):
    """Of our own images."""
    spec = json.loads(kubectl("get", "pod", pod, "-n", SESSIONS, "-o", "json"))["spec"]
    containers = [*spec["initContainers"], *spec["containers"]]
    return {each["image"].rpartition(":")[2] for each in containers}


def control_plane():
    images_of = [
        container["image"]
        for each in listed("deployment", "-n", SYSTEM)
        for container in each["spec"]["template"]["spec"]["containers"]
    ]
    _, prefix, *_ = images()
    return {image.rpartition(":")[2] for image in images_of if image.startswith(prefix)}


@pytest.fixture
def another_tag(installed):
    """What was there before comes back, for the tests that follow."""
    _, _, _, old, *_ = images()
    tag = f"{old}-again-{secrets.token_hex(3)}"
    tagged_again(tag)
    yield tag
    upgraded_to(old)


def test_a_turn_outlives_an_upgrade_and_the_next_activation_has_the_new_images(
    cluster, another_tag
):
    _, _, _, old, *_ = images()
    cluster.x1("agents", "apply", str(HERE / "agents"))
    mark = secrets.token_hex(4)
    session = cluster.start("waiter", f"wait {mark}")
    cluster.heard(session, f"began wait {mark}")
    pod = cluster.pod(session)

    assert upgraded_to(another_tag)
    assert control_plane() == {another_tag}
    assert (cluster.pod(session), tags_of(pod)) == (pod, {old})
    cluster.inside(pod, "agent", ["touch", "/tmp/go"])
    cluster.heard(session, f"finished wait {mark}")
    assert cluster.words(session) == [f"began wait {mark}", f"finished wait {mark}"]

    kubectl("delete", "pod", pod, "-n", SESSIONS, "--wait=true")
    cluster.say(session, f"hello {mark}")
    cluster.heard(session, f"heard hello {mark}", 240)
    until(lambda: cluster.pod(session) != pod, "another pod")
    assert tags_of(cluster.pod(session)) == {another_tag}
    assert upgraded_to(another_tag) == []
