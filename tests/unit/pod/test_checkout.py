"""The checkout with real git; the gateway's place is taken by a directory."""

import json
import subprocess

import pytest
from bridges import bridge_at

from sidecar.domain.attachment import Attachment
from sidecar.domain.errors import InvalidArguments
from sidecar.pod.bridged import BridgedHands
from sidecar.pod.checkout import GitFailed, check_out
from sidecar.pod.local import LocalHands
from sidecar.pod.zone import Zone


def git(tree, *arguments):
    identity = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t.invalid",
        "-c",
        "init.defaultBranch=main",
    ]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=tree, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(params=["local", "bridged"])
async def hands(request, tmp_path):
    if request.param == "local":
        yield LocalHands(tmp_path / "state")
        return
    async with bridge_at(tmp_path / "b.sock"):
        yield BridgedHands(tmp_path / "b.sock", log_dir=tmp_path)


@pytest.fixture
async def zone(tmp_path, hands):
    source = tmp_path / "forge" / "acme" / "app"
    source.mkdir(parents=True)
    git(source, "init", "-q")
    (source / "README.md").write_text("hello")
    git(source, "add", ".")
    git(source, "commit", "-qm", "first")
    git(source, "branch", "feat/known")
    zone = Zone(
        hands=hands,
        workspace_dir=tmp_path / "tree",
        state_dir=tmp_path / "state",
        agent="tester",
        forge_host="forge.test",
        port=9,
    )
    await zone.prepare()
    with (tmp_path / "state" / "gitconfig").open("a") as config:
        config.write(
            f'[url "file://{tmp_path}/forge/acme/"]\n\tinsteadOf = https://forge.test/acme/\n'
        )
    return zone


def attached(branch="main", mount_path="app", repo="acme/app"):
    return Attachment(repo=repo, branch=branch, mount_path=mount_path)


@pytest.mark.parametrize("branch", ["main", "feat/known", "feat/new"])
async def test_a_repository_is_cloned_on_its_branch(zone, branch):
    (out,) = await check_out(zone, [attached(branch)])
    tree = zone.workspace_dir / "app"
    assert (out.branch, out.revision) == (branch, git(tree, "rev-parse", "HEAD"))
    assert git(tree, "config", "remote.origin.url") == "https://forge.test/acme/app"


async def test_a_later_activation_finds_the_tree_as_it_was(zone):
    await check_out(zone, [attached()])
    (zone.workspace_dir / "app" / "draft").write_text("unsaved")
    git(zone.workspace_dir / "app", "switch", "-qc", "feat/mine")
    (out,) = await check_out(zone, [attached()])
    assert out.branch == "feat/mine"
    assert (zone.workspace_dir / "app" / "draft").read_text() == "unsaved"


async def test_a_clone_that_was_cut_short_is_made_again(zone):
    (zone.workspace_dir / ".app.x1-part").mkdir()
    (zone.workspace_dir / ".app.x1-part" / "torn").touch()
    (zone.workspace_dir / "app").mkdir()
    (out,) = await check_out(zone, [attached()])
    assert out.revision
    assert not (zone.workspace_dir / ".app.x1-part").exists()


async def test_an_empty_repository_has_its_branch_and_no_revision(zone, tmp_path):
    empty = tmp_path / "forge" / "acme" / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    (out,) = await check_out(zone, [attached(repo="acme/empty", mount_path="empty")])
    assert (out.branch, out.revision) == ("main", None)


async def test_what_git_refuses_is_said_in_its_words(zone):
    with pytest.raises(GitFailed, match=r"does not exist|not found|does not appear"):
        await check_out(zone, [attached(repo="acme/absent")])


@pytest.mark.parametrize("mount", ["../out", "/etc", ""])
async def test_a_mount_out_of_the_workspace_is_refused(zone, mount):
    with pytest.raises(InvalidArguments):
        await check_out(zone, [attached(mount_path=mount)])


def test_the_credential_helper_answers_for_the_gateway_alone(zone):
    helper = zone.state_dir / "bin" / "git-credential-x1"

    def ask(host):
        request = f"protocol=http\nhost={host}\n\n"
        return subprocess.run(
            [helper, "get"], input=request, capture_output=True, text=True, check=True
        ).stdout

    assert ask("github.localhost:9") == f"username=x1\npassword={zone.capability}\n"
    assert ask("github.com") == ""


def test_the_environment_names_repositories_and_no_capability(zone):
    environment = zone.environment([attached()])
    assert json.loads(environment["AGENT_REPOS_JSON"])[0]["repo"] == "acme/app"
    assert zone.capability not in "".join(environment.values())
