"""What a forge reads at a revision, of GitHub's client and of its double alike."""

import uuid

import pytest
from forge_ground import Ground

from sidecar.domain.ids import Repository, Revision

UNKNOWN = Revision("f" * 40)
MIB = 1 << 20


@pytest.fixture
def app() -> Repository:
    return Repository(f"acme/{uuid.uuid4().hex}")


async def test_a_file_is_read_as_it_was_at_the_revision(ground: Ground, app: Repository):
    first = await ground.commit(app, "main", {"docs/a.md": b"1\n"})
    second = await ground.commit(app, "main", {"docs/a.md": b"2\n"})
    assert await ground.forge.read_file(app, "docs/a.md", first) == b"1\n"
    assert await ground.forge.read_file(app, "docs/a.md", second) == b"2\n"


@pytest.mark.parametrize("content", [b"", b"\0\xff\r\n", b'{"message": "Not Found"}', b"[]"])
async def test_a_file_comes_byte_by_byte(ground: Ground, app: Repository, content: bytes):
    sha = await ground.commit(app, "main", {"data.json": content})
    assert await ground.forge.read_file(app, "data.json", sha) == content


@pytest.mark.parametrize(
    "name", ["ü ñ.md", "a?b#c.md", "100%25.md", "-rf", "...", "a+b&c=d.md", "a:b", "..a/b.."]
)
async def test_a_file_may_have_an_odd_name(ground: Ground, app: Repository, name: str):
    sha = await ground.commit(app, "main", {name: b"here\n"})
    assert await ground.forge.read_file(app, name, sha) == b"here\n"


async def test_a_long_file_is_cut_after_one_mebibyte(ground: Ground, app: Repository):
    sha = await ground.commit(app, "main", {"long": b"x" * (MIB + 1), "whole": b"x" * MIB})
    assert await ground.forge.read_file(app, "long", sha) == b"x" * MIB
    assert await ground.forge.read_file(app, "whole", sha) == b"x" * MIB


@pytest.mark.parametrize(
    "path",
    [
        "none.md",
        "docs",
        "docs/",
        "",
        "/",
        ".",
        "..",
        "./a.md",
        "../a.md",
        "docs/../a.md",
        "docs/../../a.md",
        "/a.md",
        "a.md/",
        "docs//b.md",
        "a.md/more",
        "A.MD",
        "a.md\0",
        "%2e%2e/a.md",
        ".git/config",
    ],
)
async def test_what_is_no_file_is_not_read(ground: Ground, app: Repository, path: str):
    sha = await ground.commit(app, "main", {"a.md": b"1\n", "docs/b.md": b"1\n"})
    assert await ground.forge.read_file(app, path, sha) is None


async def test_a_directory_lists_the_files_that_stand_in_it_itself(ground: Ground, app: Repository):
    sha = await ground.commit(
        app, "main", {"k8s/b.yaml": b"1", "k8s/a.yaml": b"1", "k8s/x/c": b"1"}
    )
    assert await ground.forge.list_files(app, "k8s", sha) == ["k8s/a.yaml", "k8s/b.yaml"]
    assert await ground.forge.list_files(app, "", sha) == []
    assert await ground.forge.list_files(app, "k8s/x", sha) == ["k8s/x/c"]


@pytest.mark.parametrize("path", ["none", "k8s/a.yaml", "..", "k8s/../k8s"])
async def test_what_is_no_directory_lists_nothing(ground: Ground, app: Repository, path: str):
    sha = await ground.commit(app, "main", {"k8s/a.yaml": b"1"})
    assert await ground.forge.list_files(app, path, sha) is None
    assert await ground.forge.list_files(app, "k8s", UNKNOWN) is None


async def test_an_unknown_revision_has_no_files(ground: Ground, app: Repository):
    await ground.commit(app, "main", {"a.md": b"1\n"})
    assert await ground.forge.read_file(app, "a.md", UNKNOWN) is None
