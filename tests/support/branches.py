"""A small app at the embedded forge, with three branches for each name: one builds only when a test lets it."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from git import Repo

from infra.local.forge.seed import own_repository, push, seed_repository

APP = "acme/app"
PREVIEW = """apiVersion: x1agent.io/v1
kind: PreviewSpec
metadata: {name: app}
spec:
  entrypoint:
    kind: process
    build: [sh, -c, "%s"]
    run: [sh, -c, "exec python3 -m http.server $PORT --bind 127.0.0.1"]
"""


def fill_the_forge(url: str, token: str, gates: Mapping[str, Path]) -> dict[str, str]:
    """Heads by branch: `base/NAME`, `fast/NAME`, and `slow/NAME`, whose build waits for the file of its name."""
    with tempfile.TemporaryDirectory(prefix="x1-app-") as scratch:
        tree = Path(scratch) / "app"
        (tree / ".x1agent").mkdir(parents=True)
        (tree / "index.html").write_text("hello")
        (tree / ".x1agent" / "preview.yaml").write_text(PREVIEW % "true")
        seed_repository(url, token, APP, tree)
        with own_repository(tree) as repo:
            heads = _branches(repo, tree, gates)
            push(repo, f"{url}/{APP}.git", token, [*heads])
    return heads


def _branches(repo: Repo, tree: Path, gates: Mapping[str, Path]) -> dict[str, str]:
    begin = _committed(repo, "Begin")
    heads = {f"base/{name}": begin for name in gates}
    for branch in heads:
        repo.create_head(branch, begin)
    for name, gate in gates.items():
        waits = f"touch {gate}.begun; while [ ! -e {gate} ]; do sleep 0.05; done"
        for branch, build in ((f"fast/{name}", "true"), (f"slow/{name}", waits)):
            repo.git.checkout("-B", branch, begin)
            (tree / ".x1agent" / "preview.yaml").write_text(PREVIEW % build)
            (tree / "page").write_text(branch)
            heads[branch] = _committed(repo, branch)
    return heads


def _committed(repo: Repo, message: str) -> str:
    repo.git.add(all=True)
    repo.git.commit(message=message, quiet=True)
    return repo.head.commit.hexsha
