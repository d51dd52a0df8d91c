"""Small shops on a cluster: an agent that opens them on branches of its own, and the previews that show them."""

import secrets
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clusters import Cluster, listed, until

from infra.local.forge.seed import seed_repository
from sidecar.domain.session import TERMINAL
from sidecar.domain.workspace import DEFAULT, previews_namespace

AGENTS = Path(__file__).resolve().parents[1] / "cluster" / "agents"
REPO = "probe-co/shop"
PREVIEWS = previews_namespace(DEFAULT)
OPENING_SECONDS = 300.0
"""A build without a cache, on a busy machine."""


@dataclass(frozen=True)
class Shop:
    """`name` is of this shop alone, and stands on its page."""

    name: str
    preview_id: str
    revision: str
    url: str

    @property
    def branch(self) -> str:
        """As the audit names a preview."""
        return f"{REPO}@shop/{self.name}"


@dataclass(frozen=True)
class Shopkeeper:
    """A session that opens shops, and visits URLs from its container."""

    cluster: Cluster
    session_id: str

    def opened(self, how: Literal["built", "keyed", "plain"]) -> Shop:
        """A shop whose preview is ready: built as an image, or that with the canary for its key, or of a
        manifest, which is quicker.
        """
        name = f"shop-{secrets.token_hex(4)}"
        before = len(self.cluster.words(self.session_id))
        self.cluster.say(self.session_id, f"open {how} {name}")
        told = until(
            lambda: next(
                (
                    each
                    for each in self.cluster.words(self.session_id)[before:]
                    if each.startswith("DEPLOYING ")
                ),
                None,
            ),
            "a deploy",
        )
        _, preview_id, revision, url = told.split()
        shop = Shop(name=name, preview_id=preview_id, revision=revision, url=url)
        self.ready(shop)
        return shop

    def ready(self, shop: Shop, seconds: float = OPENING_SECONDS) -> None:
        def look() -> bool:
            found = self.preview(shop)
            assert found["status"] != "failed", found["diagnosis"]
            return found["status"] == "ready" and found["serving"] == shop.revision

        until(look, f"the preview of {shop.name}", seconds)

    def preview(self, shop: Shop) -> dict[str, Any]:
        found = self.cluster.get("/api/previews", limit=500)["previews"]
        return next(each for each in found if each["id"] == shop.preview_id)

    def visited(self, url: str) -> str:
        """What a program of the agent's was answered: status, revision, the body's SHA-256; or why it was not."""
        self.cluster.say(self.session_id, f"visit {url}")
        said = self.cluster.heard(self.session_id, f"VISITED {url}")
        return said.partition(f"VISITED {url} ")[2].strip()

    def close(self, shop: Shop) -> None:
        self.cluster.post(f"/api/previews/{shop.preview_id}/release", {})

    def end(self) -> None:
        """Repeatable."""
        if not self._has_ended():
            self.cluster.say(self.session_id, "close")
        until(self._has_ended, f"the end of session {self.session_id}")

    def _has_ended(self) -> bool:
        return self.cluster.session(self.session_id)["status"] in TERMINAL


@contextmanager
def hired(cluster: Cluster, workspace: str = DEFAULT) -> Generator[Shopkeeper]:
    """A new one, of that workspace. Whatever happens, its shops are closed and it ends."""
    token = (cluster.state_dir / "secrets" / "forge-admin-token").read_text().strip()
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "README.md").write_text("Shops, each on a branch of its own.\n")
        seed_repository(cluster.urls["forge"], token, REPO, Path(scratch))
    agent = _applied(cluster, workspace)
    found = Shopkeeper(cluster, cluster.start(agent, "hello"))
    try:
        yield found
    finally:
        own = cluster.get("/api/previews", root=found.session_id)["previews"]
        for each in own:
            cluster.post(f"/api/previews/{each['id']}/release", {})
        found.end()


def _applied(cluster: Cluster, workspace: str) -> str:
    """The slug of the workspace's shopkeeper."""
    if workspace == DEFAULT:
        cluster.x1("agents", "apply", str(AGENTS))
        return "shopkeeper"
    with tempfile.TemporaryDirectory() as scratch:
        cluster.x1("agents", "apply", str(keeper_of(workspace, Path(scratch))))
    return f"shopkeeper-{workspace}"


def keeper_of(workspace: str, folder: Path) -> Path:
    """The file, in `folder`, of a shopkeeper that is of another workspace and else as ours."""
    told = (AGENTS / "shopkeeper.yaml").read_text()
    slug = "slug: shopkeeper\n"
    assert slug in told
    file = folder / f"shopkeeper-{workspace}.yaml"
    own = f"slug: shopkeeper-{workspace}\nworkspace: {workspace}\n"
    file.write_text(told.replace(slug, own, 1))
    return file


def left_of(shop: Shop) -> list[str]:
    """What of it is in the cluster: `namespace Kind/name`."""
    kinds = "deployment,statefulset,service,secret,configmap,networkpolicy,httproute,ingress,pod"
    found = listed(kinds, "-A", "-l", f"x1flows.io/preview={shop.preview_id}")
    return [
        f"{each['metadata']['namespace']} {each['kind']}/{each['metadata']['name']}"
        for each in found
    ]
