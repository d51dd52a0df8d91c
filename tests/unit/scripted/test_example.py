"""The example's scripts, played against a stand-in of the platform: real git, real MCP, a real app."""

import asyncio
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from sidecar.domain.check import Response, evaluate
from sidecar.scripted.reading import read_script
from sidecar.wire.agent_file import parse_agent
from sidecar.wire.spec import parse_spec

DEPLOYMENTS = Path(__file__).parents[3] / "deployments"
AGENTS = sorted((DEPLOYMENTS / "agents").glob("*.yaml"))
SCRIPTS = sorted((DEPLOYMENTS / "agents" / "scripts").glob("*.yaml"))
GIT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "x",
    "GIT_AUTHOR_EMAIL": "x@x.invalid",
    "GIT_COMMITTER_NAME": "x",
    "GIT_COMMITTER_EMAIL": "x@x.invalid",
}


@pytest.mark.parametrize("path", AGENTS, ids=lambda path: path.stem)
def test_an_agent_of_the_example_can_be_applied(path):
    agent = parse_agent(path.read_text(), path.name, lambda name: (path.parent / name).read_text())
    assert agent.slug == path.stem
    assert agent.script


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_of_the_example_can_be_played(path):
    assert read_script(path.read_text(), path.name).handlers


@pytest.mark.parametrize(
    ("variant", "file"), [("astro", "astro.config.mjs"), ("container", "Dockerfile")]
)
def test_a_variant_asks_for_the_same_and_names_another_stack(variant, file):
    examples = DEPLOYMENTS / "examples"
    python, other = (
        yaml.safe_load((examples / name / "roadmap.yaml").read_text())["items"]
        for name in ("hirer-orchestrator", f"hirer-orchestrator-{variant}")
    )
    for one, another in zip(python, other, strict=True):
        assert (one["id"], one["acceptance"]) == (another["id"], another["acceptance"])
        assert file in another["files"]


def git(*words, cwd):
    done = subprocess.run(
        ["git", *words], cwd=cwd, env=GIT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Platform:
    """What the relay, the forge and the preview host do, in as little as the scripts can tell apart."""

    def __init__(self, folder, has_secret=False):
        self.folder = folder
        self.has_secret = has_secret
        self.numbers = itertools.count(1)
        self.wakes = {}
        self.children = {}
        self.specs = {}
        self.previews = {}
        self.ended = {}
        self.sent_back = []
        self.breaks = []
        for name in ("orchestrator", "app"):
            source = DEPLOYMENTS / "examples" / f"hirer-{name}"
            tree = folder / f"seed-{name}"
            shutil.copytree(source, tree)
            git("init", "--quiet", "--initial-branch=main", ".", cwd=tree)
            git("add", "--all", cwd=tree)
            git("commit", "--quiet", "-m", "Begin", cwd=tree)
            git("clone", "--quiet", "--bare", str(tree), str(self.forge(name)), cwd=folder)

    def forge(self, name):
        return self.folder / f"{name.rpartition('/')[2]}.git"

    def workspace(self, name, *repos):
        place = self.folder / f"workspace-{name}"
        place.mkdir()
        for repo in repos:
            git("clone", "--quiet", str(self.forge(repo)), str(place / repo), cwd=place)
        return place

    def wake(self, to, text, kind, *, sender="", from_session_id="", payload=None):
        record = {"wake_id": f"w{next(self.numbers)}", "kind": kind, "attempt": 1}
        record |= {"from_session_id": from_session_id} if from_session_id else {}
        record |= {"payload": payload} if payload else {}
        head = f"Message from {sender}:\n" if sender else ""
        text = f"{head}{text}\n\n```json\n{json.dumps(record)}\n```"
        self.wakes.setdefault(to, asyncio.Queue()).put_nowait(text)
        return {"wake_id": record["wake_id"], "receipt": "accepted"}

    def tools_of(self, me, parent=None):  # noqa: C901 - a table, one function a tool
        def message_caller(summary, body=None, needs_response=False):
            return self.wake(parent, summary, "message", sender="hirer-app", from_session_id=me)

        def end_session(summary, outcome=None):
            self.ended[me] = summary
            if parent:
                told = {"status": "complete"}
                self.wake(parent, "ended", "state_change", from_session_id=me, payload=told)
            return {"ok": True}

        def spawn_session(child_agent_id, spec, branch, item, brief=None):
            child = f"child-{len(self.children) + 1}"
            text = git("show", f"{spec['commit']}:{spec['path']}", cwd=self.forge(spec["repo"]))
            self.specs[spec["commit"]] = parse_spec(text, spec["path"])
            assert self.specs[spec["commit"]].branch == branch
            self.children[child] = "running"
            self.wake(child, f"{brief}\n\n{text}" if brief else text, "user", from_session_id=me)
            return {"session_id": child, "status": "pending"}

        def inject_message(child_session_id, text):
            if text.startswith("Fix this"):
                self.sent_back.append(text)
            return self.wake(child_session_id, text, "user", from_session_id=me)

        def preview_deploy(repo, branch, commit_sha):
            preview = {
                "preview_id": branch.replace("/", "-"),
                "status": "building",
                "serving": None,
            }
            preview |= {"url": f"http://{branch}", "revision": commit_sha, "diagnosis": None}
            self.previews[preview["preview_id"]] = preview
            ready = preview | {"status": "ready", "serving": commit_sha}
            self.previews[preview["preview_id"]] = ready
            self.wake(me, "The preview is ready.", "preview", payload=ready)
            return preview

        async def preview_verify(preview_id, spec):
            checks = self.specs[spec["commit"]].acceptance
            revision = self.previews[preview_id]["serving"]
            results = await asyncio.to_thread(self.verified, revision, checks)
            return {
                "passed": all(each["passed"] for each in results),
                "results": results,
                "evidence_id": f"e-{revision[:8]}",
            }

        def merge_branch(repo, head, base, expected_sha, evidence_id):
            assert evidence_id == f"e-{expected_sha[:8]}"
            tree = self.folder / f"merge-{next(self.numbers)}"
            git("clone", "--quiet", str(self.forge(repo)), str(tree), cwd=self.folder)
            git("merge", "--quiet", "--no-ff", "-m", f"Merge {head}", expected_sha, cwd=tree)
            git("push", "--quiet", "origin", "main", cwd=tree)
            return {"merge_sha": git("rev-parse", "HEAD", cwd=tree)}

        def check_preconditions(secrets):
            names = ("configured", "missing") if self.has_secret else ("missing", "configured")
            return {names[0]: secrets, names[1]: []}

        def list_children():
            return [
                {"session_id": child, "status": "complete" if child in self.ended else "running"}
                for child in self.children
            ]

        return {
            "message_caller": message_caller,
            "end_session": end_session,
            "spawn_session": spawn_session,
            "inject_message": inject_message,
            "preview_deploy": preview_deploy,
            "preview_verify": preview_verify,
            "preview_status": lambda preview_id: self.previews[preview_id],
            "preview_validate": lambda repo, revision: {"ok": True, "errors": []},
            "preview_release": lambda preview_id: {"status": "released"},
            "merge_branch": merge_branch,
            "check_preconditions": check_preconditions,
            "list_children": list_children,
            "claim_item": lambda item: {"claimed": True, "holder": me},
            "release_item": lambda item: {"claimed": False, "holder": None},
            "list_spawnable_agents": lambda: [{"id": "hirer-app", "slug": "hirer-app"}],
        }

    def verified(self, revision, checks):
        """The checks against the revision, served as its own preview spec says."""
        tree = self.folder / f"serve-{next(self.numbers)}"
        git("clone", "--quiet", str(self.forge("app")), str(tree), cwd=self.folder)
        git("checkout", "--quiet", revision, cwd=tree)
        spec = yaml.safe_load((tree / ".x1agent/preview.yaml").read_text())["spec"]
        subprocess.run(spec["entrypoint"]["build"], cwd=tree, check=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        app = subprocess.Popen(
            [sys.executable, *spec["entrypoint"]["run"][1:]],
            cwd=tree,
            env={**os.environ, "PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            app.stdout.readline()
            outcomes = [evaluate(check, _asked(port, check)) for check in checks]
        finally:
            app.kill()
            app.communicate()
        if self.breaks:
            return [{"passed": False, "failures": [self.breaks.pop()]}]
        return [{"passed": not each.failures, "failures": list(each.failures)} for each in outcomes]

    def roadmap(self):
        text = git("show", "main:roadmap.yaml", cwd=self.forge("orchestrator"))
        return {item["id"]: item for item in yaml.safe_load(text)["items"]}


def _asked(port, check):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{check.path}",
        method=check.method,
        headers=dict(check.headers),
        data=check.body.encode() if check.body else None,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, body = error.code, error.read()
    return Response(status=status, headers={}, body=body, elapsed_ms=1)


async def play(stage, platform, serving, name, script, *repos, parent=None):
    """One session, until it has ended."""
    async with serving(platform.tools_of(name, parent)) as toolbox:
        stage.script = DEPLOYMENTS / "agents" / "scripts" / f"{script}.yaml"
        runtime = await stage.process(**{k: v for k, v in GIT.items() if k.startswith("GIT_")})
        await runtime.begin(platform.workspace(name, *repos), [toolbox.entry])
        queue = platform.wakes.setdefault(name, asyncio.Queue())
        while name not in platform.ended:
            answer = await runtime.prompt(await queue.get())
            assert answer.get("result") == {"stopReason": "end_turn"}, answer
        await runtime.close()
        return runtime


async def arc(stage, platform, serving, children=2):
    platform.wake("lead", "Start.", "user")
    lead = ("lead", "hirer-orchestrator", "orchestrator", "app")
    async with asyncio.timeout(200):
        playing = [play(stage, platform, serving, *lead)]
        for number in range(1, children + 1):
            child = (f"child-{number}", "hirer-app", "app")
            playing.append(play(stage, platform, serving, *child, parent="lead"))
        return (await asyncio.gather(*playing))[0]


@pytest.mark.real
async def test_the_whole_roadmap_is_shipped_and_the_blocked_item_is_flagged(
    stage, serving, tmp_path
):
    platform = Platform(tmp_path)
    await arc(stage, platform, serving)
    roadmap = platform.roadmap()
    assert [item["status"] for item in roadmap.values()] == ["done", "done", "blocked"]
    assert roadmap["R-3"]["blocked_by"] == "missing secret SLACK_BOT_TOKEN"
    assert platform.ended["lead"] == "Shipped R-1, R-2. Waiting for people: R-3."
    tree = git("ls-tree", "-r", "--name-only", "main", cwd=platform.forge("orchestrator"))
    assert sum("r1" in name or "r2" in name for name in tree.splitlines()) == 4
    assert platform.sent_back == []


@pytest.mark.real
async def test_what_fails_its_checks_goes_back_to_the_child_and_comes_again(
    stage, serving, tmp_path
):
    platform = Platform(tmp_path)
    platform.breaks.append("expected status 200, came 500")
    await arc(stage, platform, serving)
    assert len(platform.sent_back) == 1
    assert "came 500" in platform.sent_back[0]
    assert platform.roadmap()["R-1"]["status"] == "done"
