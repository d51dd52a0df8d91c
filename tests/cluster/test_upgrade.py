"""An upgrade in the middle of a turn: the pod that runs keeps its images and ends its turn, the next has the new ones.

The new version is the same images under another tag and one migration more, which the test writes into the registry
that the nodes pull from. Afterwards the version before comes back, and serves on the newer ledger.
"""

import gzip
import hashlib
import io
import json
import os
import secrets
import tarfile
from pathlib import Path

import httpx
import pytest
from clusters import SESSIONS, SYSTEM, X1, images, kubectl, listed, run, until

from infra.cluster.images import NAMES
from sidecar.store import migrations

pytestmark = pytest.mark.timeout(1800)
HERE = Path(__file__).parent
VERSIONS = Path(migrations.__file__).parent / "versions"
OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution"
ANY_MANIFEST = [f"{OCI}.manifest.v1+json", f"{OCI}.index.v1+json"]
ANY_MANIFEST += [f"{DOCKER}.manifest.v2+json", f"{DOCKER}.manifest.list.v2+json"]


NEWEST, REVISION = max(VERSIONS.glob("0*.py")).name[:4], "9999"
MIGRATION = f"""
from alembic import op
revision, down_revision = "{REVISION}", "{NEWEST}"
def upgrade():
    op.execute("ALTER TABLE sessions ADD COLUMN of_a_newer_version text")
"""
UNDONE = f"""
ALTER TABLE sessions DROP COLUMN IF EXISTS of_a_newer_version;
UPDATE alembic_version SET version_num = '{NEWEST}' WHERE version_num = '{REVISION}';
"""


class Images:
    """Ours in the registry that the nodes pull from; X1_MIRROR is its address, as the test bed says it."""

    def __init__(self):
        _, prefix, _, self.tag, *_ = images()
        address = os.environ.get("X1_MIRROR")
        assert address, (
            "X1_MIRROR: host:port of the registry (plain HTTP) that the nodes pull our images from"
        )
        self.prefix = prefix.removeprefix(f"{address}/")
        self.registry = httpx.Client(base_url=f"http://{address}", trust_env=False, timeout=60)

    def tag_again(self, name, tag, added=None):
        """The same image under a new tag, with one file more when there is one: (path, content)."""
        place = f"/v2/{self.prefix}{name}"
        found = self.registry.get(
            f"{place}/manifests/{self.tag}", headers={"accept": ", ".join(ANY_MANIFEST)}
        )
        found.raise_for_status()
        content, kind = found.content, found.headers["content-type"]
        if added is not None:
            content = json.dumps(self._with_layer(place, found.json(), *added)).encode()
        put = self.registry.put(
            f"{place}/manifests/{tag}", content=content, headers={"content-type": kind}
        )
        put.raise_for_status()

    def _with_layer(self, place, manifest, path, content):
        """https://github.com/opencontainers/image-spec/blob/main/manifest.md"""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
        layer = gzip.compress(packed.getvalue())
        blob = self.registry.get(f"{place}/blobs/{manifest['config']['digest']}")
        config = blob.raise_for_status().json()
        config["rootfs"]["diff_ids"].append(digest(packed.getvalue()))
        config.setdefault("history", []).append({"created_by": "a newer version's migration"})
        told = json.dumps(config).encode()
        described = {"mediaType": manifest["layers"][-1]["mediaType"]}
        manifest["layers"].append({**described, **self._kept(place, layer)})
        manifest["config"] = {**manifest["config"], **self._kept(place, told)}
        return manifest

    def _kept(self, place, content):
        begun = self.registry.post(f"{place}/blobs/uploads/").raise_for_status()
        address = httpx.URL(begun.headers["location"]).copy_merge_params(
            {"digest": digest(content)}
        )
        self.registry.put(address, content=content).raise_for_status()
        return {"digest": digest(content), "size": len(content)}


def digest(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def asked(sql):
    words = ("psql", "-U", "x1", "-d", "x1", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql)
    return kubectl("exec", "-n", SYSTEM, "postgres-0", "--", *words).split()


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
    ours = Images()
    tag = f"{ours.tag}-again-{secrets.token_hex(3)}"
    migration = f"app/sidecar/store/migrations/versions/{REVISION}_newer.py", MIGRATION.encode()
    for name in NAMES:
        ours.tag_again(name, tag, migration if name == "control" else None)
    ours.registry.close()
    yield tag
    upgraded_to(ours.tag)
    asked(UNDONE)


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
    assert asked("SELECT version_num FROM alembic_version") == [REVISION]
    assert asked("SELECT count(of_a_newer_version) FROM sessions") == ["0"]
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

    assert upgraded_to(old)
    assert control_plane() == {old}
    cluster.say(session, f"after {mark}")
    cluster.heard(session, f"heard after {mark}")
    assert asked("SELECT version_num FROM alembic_version") == [REVISION]
