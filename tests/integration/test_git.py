"""Real git, through the gateway, to the embedded forge: what passes, what is refused, and how git says so."""

import asyncio
import os
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from embedded_forge import ADMIN, APP_ID, ForgeProcess, running_forge

from infra.local.forge.seed import seed_repository
from sidecar.domain.attachment import Attachment
from sidecar.domain.errors import Forbidden, LeaseLost, MergeConflict
from sidecar.domain.ids import Repository, Revision
from sidecar.pod.gitgate.app import GitGate
from sidecar.pod.listening import bind_loopback
from sidecar.relay.forge.github import GitHub
from sidecar.wire.git import (
    CompareAnswer,
    CompareRequest,
    PushAnswer,
    PushRequest,
    TokenAnswer,
    TokenRequest,
)

pytestmark = pytest.mark.real
APP = Repository("acme/app")


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeProcess]:
    with running_forge(tmp_path_factory.mktemp("forge")) as process:
        yield process


@pytest.fixture
async def github(forge: ForgeProcess) -> AsyncIterator[GitHub]:
    async with GitHub(
        api_url=forge.url, git_url=forge.url, app_id=APP_ID, private_key=forge.key
    ) as made:
        yield made


@dataclass
class Relay:
    """The relay as the gateway sees it: real tokens, and a fence that a test may close."""

    github: GitHub
    asked: list[tuple[str, str]] = field(default_factory=list)
    compared: list[tuple[str, str]] = field(default_factory=list)
    is_lost_at: str | None = None

    async def token(self, request: TokenRequest) -> TokenAnswer:
        minted = await self.github.token(Repository(request.repo), request.access)
        return TokenAnswer(
            token=minted.secret, expires_at=minted.expires_at, git_url=self.github.git_url
        )

    async def compare(self, request: CompareRequest) -> CompareAnswer:
        self.compared.append((request.old, request.new))
        answer = await self.github.is_ancestor(
            Repository(request.repo), Revision(request.old), Revision(request.new)
        )
        return CompareAnswer(is_ancestor=answer)

    async def fence(self, request: PushRequest) -> PushAnswer:
        self.asked.append((request.phase, request.updates[0]["ref"]))
        if request.phase == self.is_lost_at:
            raise LeaseLost("generation 1 was replaced by 2: stop at once")
        return PushAnswer(allowed=True, reason="")


@dataclass
class Zone:
    """What an agent has: git, a capability, a tree."""

    url: str
    environment: dict[str, str]
    home: Path
    relay: Relay
    events: list[tuple[str, dict[str, Any]]]

    async def git(self, *words: str, check: bool = True, stdin: bytes = b"") -> str:
        process = await asyncio.create_subprocess_exec(
            "git",
            *words,
            cwd=self.home / "app" if (self.home / "app").exists() else self.home,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told = (await asyncio.wait_for(process.communicate(stdin), 60))[0].decode()
        assert not check or process.returncode == 0, told
        return told

    async def commit(self, name: str, text: bytes = b"text\n") -> str:
        (self.home / "app" / name).write_bytes(text)
        await self.git("add", "--all")
        await self.git("commit", "--quiet", "--message", f"Add {name}")
        return (await self.git("rev-parse", "HEAD")).strip()


@pytest.fixture
async def zone(
    forge: ForgeProcess, github: GitHub, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Zone]:
    seeded = tmp_path / "seed"
    seeded.mkdir()
    (seeded / "README.md").write_text("begin\n")
    repo = Repository(f"acme/{zlib.crc32(request.node.name.encode())}")
    seed_repository(forge.url, ADMIN, repo, seeded)
    relay, events = Relay(github), list[tuple[str, dict[str, Any]]]()
    attachments = [
        Attachment(repo=repo, branch="main", mount_path="app", allow_push=True),
        Attachment(repo=Repository("acme/readonly"), branch="main", mount_path="ro"),
    ]

    async def report(kind: Any, payload: dict[str, Any]) -> None:
        events.append((str(kind), payload))

    gate = GitGate(
        authority=relay, attachments=lambda: attachments, capability="capability", report=report
    )
    listener = bind_loopback(0)
    port = listener.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(gate, lifespan="off", log_level="error", http="httptools")
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "agent",
        "GIT_AUTHOR_EMAIL": "agent@x1.invalid",
        "GIT_COMMITTER_NAME": "agent",
        "GIT_COMMITTER_EMAIL": "agent@x1.invalid",
    }
    url = f"http://x1:capability@127.0.0.1:{port}/git/github.com/{repo}"
    made = Zone(url, environment, tmp_path, relay, events)
    await made.git("clone", "--quiet", url, str(tmp_path / "app"))
    yield made
    server.should_exit = True
    await serving
    await gate.aclose()


def test_a_repository_is_seeded_without_the_settings_of_whoever_runs_it(
    forge: ForgeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("pre-commit", "commit-msg", "pre-push"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    (tmp_path / ".gitconfig").write_text(
        "[user]\nname = somebody\nemail = somebody@acme.dev\n"
        "[commit]\ngpgsign = true\n[gpg]\nprogram = false\n"
        f"[core]\nhooksPath = {hooks}\n"
        f"[init]\ndefaultBranch = trunk\ntemplateDir = {hooks.parent}\n"
        "[http]\nproxy = http://127.0.0.1:9\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    seeded = tmp_path / "seed"
    seeded.mkdir()
    (seeded / "README.md").write_text("begin\n")
    sha = seed_repository(forge.url, ADMIN, "acme/foreign-settings", seeded)
    headers = {"authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=forge.url, headers=headers, trust_env=False) as http:
        told = http.get("/repos/acme/foreign-settings/commits", params={"sha": "main"}).json()
    assert [(each["sha"], each["commit"]["author"]["name"]) for each in told] == [
        (sha, "x1 operator")
    ]


async def test_an_allowed_branch_is_pushed_and_told(zone: Zone):
    await zone.git("checkout", "--quiet", "-b", "feat/a")
    sha = await zone.commit("a.txt")
    await zone.git("push", "--quiet", "origin", "feat/a")
    assert [phase for phase, _ in zone.relay.asked] == ["begin", "commit"]
    pushed = [payload for kind, payload in zone.events if kind == "git.push"]
    assert [(each["ref"], each["new"]) for each in pushed] == [("refs/heads/feat/a", sha)]
    repo = Repository(pushed[0]["repo"])
    assert await zone.relay.github.head(repo, "feat/a") == sha


async def test_a_long_push_is_streamed_in_chunks(zone: Zone):
    await zone.git("checkout", "--quiet", "-b", "feat/long")
    sha = await zone.commit("blob", os.urandom(5 << 20))
    await zone.git("push", "--quiet", "origin", "feat/long")
    assert zone.events[-1][1]["new"] == sha


@pytest.mark.parametrize(
    ("refspec", "reason"),
    [
        ("HEAD:main", "push to feat/*"),
        ("HEAD:refs/tags/v1", "only branches may be pushed"),
        ("HEAD:feat/a/b", "push to feat/*; * stops at a slash"),
    ],
)
async def test_a_ref_that_is_not_allowed_is_refused_readably(zone: Zone, refspec: str, reason: str):
    await zone.commit("a.txt")
    told = await zone.git("push", "origin", refspec, check=False)
    assert "[remote rejected]" in told
    assert reason in told
    assert "remote: x1:" in told
    assert zone.relay.asked == []
    assert zone.events[-1][0] == "git.push_refused"


async def test_one_refused_ref_refuses_the_push(zone: Zone):
    await zone.git("checkout", "--quiet", "-b", "feat/a")
    await zone.commit("a.txt")
    told = await zone.git("push", "origin", "feat/a", "feat/a:main", check=False)
    assert told.count("[remote rejected]") == 2
    assert not [payload for kind, payload in zone.events if kind == "git.push"]


async def test_more_refs_than_are_read_are_refused_readably(zone: Zone):
    await zone.commit("a.txt")
    many = [f"HEAD:refs/heads/feat/{number}" for number in range(65)]
    told = await zone.git("push", "origin", *many, check=False)
    assert "more than 64 refs at once" in told
    assert "remote: x1:" in told
    assert zone.relay.asked == []
    kind, payload = zone.events[-1]
    assert (kind, "more than 64 refs" in payload["reason"]) == ("git.push_refused", True)


async def begin(zone: Zone, branch: str = "feat/a") -> str:
    """A branch that the forge has, one commit ahead of main."""
    await zone.git("checkout", "--quiet", "-b", branch)
    sha = await zone.commit("a.txt")
    await zone.git("push", "--quiet", "origin", branch)
    zone.relay.asked.clear()
    return sha


async def head(zone: Zone, branch: str = "feat/a") -> str | None:
    return await zone.relay.github.head(Repository(zone.events[-1][1]["repo"]), branch)


async def amend(zone: Zone) -> None:
    await zone.git("commit", "--quiet", "--amend", "--message", "Other")


async def back(zone: Zone) -> None:
    await zone.git("reset", "--quiet", "--hard", "HEAD~1")


async def unrelated(zone: Zone) -> None:
    await zone.git("checkout", "--quiet", "--orphan", "other")
    await zone.commit("b.txt")
    await zone.git("branch", "--quiet", "--move", "--force", "feat/a")


@pytest.mark.parametrize("rewrite", [amend, back, unrelated])
async def test_a_forced_push_is_refused_by_the_gateway_itself(
    zone: Zone, rewrite: Callable[[Zone], Awaitable[None]]
):
    pushed = await begin(zone)
    await rewrite(zone)
    told = await zone.git("push", "--force", "origin", "feat/a", check=False)
    assert "remote: x1:" in told
    assert "force push is refused: feat/a at the forge is not an ancestor" in told
    assert "git pull --rebase, then push" in told
    assert [phase for phase, _ in zone.relay.asked] == ["begin"]
    kind, payload = zone.events[-1]
    assert kind == "git.push_refused"
    assert payload["reason"].startswith("force push is refused")
    assert await head(zone) == pushed


async def test_a_push_that_moves_forward_asks_the_forge_nothing(zone: Zone):
    await begin(zone)
    await zone.commit("b.txt")
    sha = await zone.commit("c.txt")
    await zone.git("push", "--quiet", "origin", "feat/a")
    assert zone.relay.compared == []
    assert [phase for phase, _ in zone.relay.asked] == ["begin", "commit"]
    assert await head(zone) == sha


async def test_a_merge_of_two_branches_is_pushed(zone: Zone):
    await begin(zone)
    await zone.git("checkout", "--quiet", "-b", "feat/b", "origin/main")
    await zone.commit("b.txt")
    await zone.git("push", "--quiet", "origin", "feat/b")
    await zone.git("checkout", "--quiet", "feat/a")
    await zone.git("merge", "--quiet", "--no-edit", "feat/b")
    await zone.git("push", "--quiet", "origin", "feat/a")
    await zone.git("push", "--quiet", "origin", "feat/a:feat/b")
    assert await head(zone, "feat/a") == await head(zone, "feat/b")


async def test_an_older_branch_moves_to_what_the_forge_already_has(zone: Zone):
    old = await begin(zone)
    await zone.git("push", "--quiet", "origin", "feat/a:feat/old")
    new = await zone.commit("b.txt")
    await zone.git("push", "--quiet", "origin", "feat/a")
    await zone.git("push", "--quiet", "origin", "feat/a:feat/old")
    assert zone.relay.compared == [(old, new)]
    assert await head(zone, "feat/old") == new


async def test_five_hundred_commits_with_deltas_are_pushed(zone: Zone):
    await begin(zone)
    lines: list[str] = []
    for number in range(500):
        text = "".join(f"line {number} {each}\n" for each in range(40))
        lines += ["commit refs/heads/feat/a", "committer a <a@x1.invalid> 1700000000 +0000"]
        lines += [f"data {len(text)}", text, *(["from feat/a^0"] if number == 0 else [])]
        lines += [f"M 644 inline {number % 20}.txt", f"data {len(text)}", text]
    await zone.git("checkout", "--quiet", "--detach")
    await zone.git("fast-import", "--quiet", stdin="\n".join(lines).encode())
    await zone.git("repack", "-adfq", "--window=50", "--depth=50")
    await zone.git("push", "--quiet", "origin", "feat/a")
    assert zone.relay.compared == []
    assert await head(zone) == (await zone.git("rev-parse", "feat/a")).strip()


async def test_a_push_from_a_shallow_clone_moves_forward_or_is_refused(zone: Zone):
    await begin(zone)
    await zone.git("clone", "--quiet", "--depth=1", "--branch=feat/a", zone.url, "../shallow")
    await zone.git("-C", "../shallow", "commit", "--quiet", "--allow-empty", "--message", "More")
    await zone.git("-C", "../shallow", "push", "--quiet", "origin", "feat/a")
    kept = await head(zone)
    amended = ["commit", "--quiet", "--amend", "--allow-empty", "--message", "Other"]
    await zone.git("-C", "../shallow", *amended)
    told = await zone.git("-C", "../shallow", "push", "--force", "origin", "feat/a", check=False)
    assert "force push is refused" in told
    assert await head(zone) == kept


async def test_a_clone_and_a_fetch_are_told_apart_and_a_list_is_neither(zone: Zone):
    assert [kind for kind, _ in zone.events] == ["git.clone"]
    await zone.git("ls-remote", "origin")
    await zone.git("fetch", "--quiet")
    assert [kind for kind, _ in zone.events] == ["git.clone"]
    await zone.git("clone", "--quiet", zone.url, "../other")
    await zone.git("-C", "../other", "checkout", "--quiet", "-b", "feat/a")
    await zone.git("-C", "../other", "commit", "--quiet", "--allow-empty", "--message", "More")
    await zone.git("-C", "../other", "push", "--quiet", "origin", "feat/a")
    await zone.git("fetch", "--quiet")
    kinds = [kind for kind, _ in zone.events]
    assert kinds[:3] == ["git.clone", "git.clone", "git.push"]
    assert set(kinds[3:]) == {"git.fetch"}


async def test_more_pushes_at_once_than_are_let_through_all_arrive(zone: Zone):
    await begin(zone)
    names = [f"feat/{number}" for number in range(7)]
    await asyncio.gather(
        *(zone.git("push", "--quiet", "origin", f"feat/a:{name}") for name in names)
    )
    assert {await head(zone, name) for name in names} == {await head(zone)}


async def test_a_lease_lost_while_bytes_flow_leaves_the_forge_as_it_was(zone: Zone):
    zone.relay.is_lost_at = "commit"
    await zone.git("checkout", "--quiet", "-b", "feat/late")
    await zone.commit("blob", os.urandom(3 << 20))
    told = await zone.git("push", "origin", "feat/late", check=False)
    assert "replaced by 2" in told
    repo = Repository(zone.events[-1][1]["repo"])
    assert await zone.relay.github.head(repo, "feat/late") is None


async def test_a_foreign_repository_and_a_wrong_capability_are_refused(zone: Zone):
    other = zone.url.rpartition("/")[0] + "/other"
    assert "not attached" in await zone.git("ls-remote", other, check=False)
    wrong = zone.url.replace("x1:capability", "x1:guess")
    assert "fatal" in await zone.git("ls-remote", wrong, check=False)


async def test_no_forge_token_reaches_the_agent(zone: Zone):
    await zone.git("checkout", "--quiet", "-b", "feat/a")
    await zone.commit("a.txt")
    zone.environment["GIT_CURL_VERBOSE"] = "1"
    zone.environment["GIT_TRACE_CURL"] = "1"
    zone.environment["GIT_TRACE_REDACT"] = "0"
    told = await zone.git("push", "origin", "feat/a")
    assert "ghs_" not in told


async def test_the_forge_merges_once_and_tells_conflicts(zone: Zone):
    github = zone.relay.github
    await zone.git("checkout", "--quiet", "-b", "feat/a")
    sha = Revision(await zone.commit("a.txt"))
    await zone.git("push", "--quiet", "origin", "feat/a")
    repo = Repository(zone.events[-1][1]["repo"])
    merged = await github.merge(repo, "main", sha, "Merge it")
    assert await github.is_ancestor(repo, sha, merged)
    assert await github.merge(repo, "main", sha, "Merge it") == merged
    assert await github.read_file(repo, "a.txt", merged) == b"text\n"
    assert await github.read_file(repo, "none.txt", merged) is None
    await zone.git("checkout", "--quiet", "-b", "feat/b", "origin/main")
    (zone.home / "app" / "a.txt").unlink(missing_ok=True)
    other = Revision(await zone.commit("a.txt", b"other\n"))
    await zone.git("push", "--quiet", "origin", "feat/b")
    with pytest.raises(MergeConflict):
        await github.merge(repo, "main", other, "Merge it")


async def test_a_repository_without_the_app_is_refused(github: GitHub):
    with pytest.raises(Forbidden):
        await github.token(Repository("acme/none"), "read")
