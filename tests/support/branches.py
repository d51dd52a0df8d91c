"""A small app at the embedded forge, with three branches for each name: one builds only when a test lets it."""

import base64
import tempfile
from collections.abc import Mapping
from pathlib import Path

from git import Actor, Repo

from infra.local.forge.seed import seed_repository

APP = "acme/app"
ME = Actor("tester", "tester@x1.invalid")
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
        with Repo.init(tree, initial_branch="main") as repo:
            heads = _branches(repo, tree, gates)
            pair = base64.b64encode(f"x-access-token:{token}".encode()).decode()
            with repo.git.custom_environment(
                GIT_CONFIG_COUNT="1",
                GIT_CONFIG_KEY_0="http.extraHeader",
                GIT_CONFIG_VALUE_0=f"Authorization: Basic {pair}",
            ):
                repo.git.push(f"{url}/{APP}.git", *heads)
    return heads


def _branches(repo: Repo, tree: Path, gates: Mapping[str, Path]) -> dict[str, str]:
    repo.git.add(all=True)
    begin = repo.index.commit("Begin", author=ME, committer=ME)
    heads = {f"base/{name}": begin.hexsha for name in gates}
    for branch in heads:
        repo.create_head(branch, begin)
    for name, gate in gates.items():
        waits = f"touch {gate}.begun; while [ ! -e {gate} ]; do sleep 0.05; done"
        for branch, build in ((f"fast/{name}", "true"), (f"slow/{name}", waits)):
            repo.git.checkout("-B", branch, begin.hexsha)
            (tree / ".x1agent" / "preview.yaml").write_text(PREVIEW % build)
            (tree / "page").write_text(branch)
            repo.git.add(all=True)
            heads[branch] = repo.index.commit(branch, author=ME, committer=ME).hexsha
    return heads
