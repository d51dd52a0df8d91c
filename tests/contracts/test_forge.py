"""What a forge promises, of GitHub's client before a real git host and of its double alike."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from forge_ground import Ground

from sidecar.domain.errors import Forbidden
from sidecar.domain.ids import Repository, Revision

UNKNOWN = Revision("f" * 40)
NOWHERE = Repository("acme/nowhere")


@pytest.fixture
def app() -> Repository:
    return Repository(f"acme/{uuid.uuid4().hex}")


@pytest.fixture
def other() -> Repository:
    return Repository(f"acme/{uuid.uuid4().hex}")


async def test_a_branch_has_the_commit_that_was_pushed_last(ground: Ground, app: Repository):
    await ground.commit(app, "main", {"a": b"1"})
    second = await ground.commit(app, "main", {"a": b"2"})
    assert await ground.forge.head(app, "main") == second


async def test_a_branch_may_have_slashes_in_its_name(ground: Ground, app: Repository):
    main = await ground.commit(app, "main", {"a": b"1"})
    made = await ground.commit(app, "feat/a/b", {"b": b"1"}, start=main)
    assert await ground.forge.head(app, "feat/a/b") == made
    assert await ground.forge.head(app, "feat/a") is None


@pytest.mark.parametrize(
    "name",
    ["none", "", "main~1", "main^", "main@{0}", "main^{/.}", "../heads/main", "-x", "a b?", "m\0n"],
)
async def test_what_is_not_a_branchs_name_has_no_head(ground: Ground, app: Repository, name: str):
    await ground.commit(app, "main", {"a": b"1"})
    await ground.commit(app, "main", {"a": b"2"})
    assert await ground.forge.head(app, name) is None


async def test_a_commit_id_is_no_branch(ground: Ground, app: Repository):
    sha = await ground.commit(app, "main", {"a": b"1"})
    assert await ground.forge.head(app, sha) is None


async def test_every_verb_refuses_a_repository_without_the_app(ground: Ground, app: Repository):
    sha = await ground.commit(app, "main", {"a": b"1"})
    forge = ground.forge
    for refused in (
        forge.token(NOWHERE, "read"),
        forge.head(NOWHERE, "main"),
        forge.is_ancestor(NOWHERE, sha, sha),
        forge.read_file(NOWHERE, "a", sha),
        forge.merge(NOWHERE, "main", sha, "Merge it"),
    ):
        with pytest.raises(Forbidden, match=f"not installed on {NOWHERE}"):
            await refused


async def test_an_older_commit_is_an_ancestor_of_a_newer_one(ground: Ground, app: Repository):
    old = await ground.commit(app, "main", {"a": b"1"})
    await ground.commit(app, "main", {"a": b"2"})
    new = await ground.commit(app, "main", {"a": b"3"})
    assert await ground.forge.is_ancestor(app, old, new)
    assert not await ground.forge.is_ancestor(app, new, old)


async def test_a_commit_is_its_own_ancestor(ground: Ground, app: Repository):
    sha = await ground.commit(app, "main", {"a": b"1"})
    assert await ground.forge.is_ancestor(app, sha, sha)


async def test_of_two_branches_that_parted_neither_is_the_others_ancestor(
    ground: Ground, app: Repository
):
    begin = await ground.commit(app, "main", {"a": b"1"})
    left = await ground.commit(app, "left", {"b": b"1"}, start=begin)
    right = await ground.commit(app, "right", {"c": b"1"}, start=begin)
    assert not await ground.forge.is_ancestor(app, left, right)
    assert not await ground.forge.is_ancestor(app, right, left)


async def test_an_unrelated_history_is_no_ancestor(ground: Ground, app: Repository):
    main = await ground.commit(app, "main", {"a": b"1"})
    foreign = await ground.commit(app, "foreign", {"b": b"1"})
    assert not await ground.forge.is_ancestor(app, main, foreign)
    assert not await ground.forge.is_ancestor(app, foreign, main)


async def test_an_unknown_commit_is_nobodys_ancestor(ground: Ground, app: Repository):
    sha = await ground.commit(app, "main", {"a": b"1"})
    for old, new in ((sha, UNKNOWN), (UNKNOWN, sha), (UNKNOWN, UNKNOWN)):
        assert not await ground.forge.is_ancestor(app, old, new)


async def test_a_commit_of_another_repository_is_unknown(
    ground: Ground, app: Repository, other: Repository
):
    await ground.commit(app, "main", {"a": b"1"})
    foreign = await ground.commit(other, "main", {"secret": b"1"})
    assert not await ground.forge.is_ancestor(app, foreign, foreign)
    assert await ground.forge.read_file(app, "secret", foreign) is None


async def test_a_token_lives_an_hour_at_most_and_is_kept(ground: Ground, app: Repository):
    await ground.commit(app, "main", {"a": b"1"})
    token, again = await asyncio.gather(*(ground.forge.token(app, "read") for _ in range(2)))
    left = token.expires_at - datetime.now(UTC)
    assert timedelta(minutes=10) < left <= timedelta(hours=1)
    assert token.secret == again.secret


async def test_a_token_is_of_one_repository_and_one_access(
    ground: Ground, app: Repository, other: Repository
):
    await ground.commit(app, "main", {"a": b"1"})
    await ground.commit(other, "main", {"a": b"1"})
    forge = ground.forge
    made = [
        await forge.token(app, "read"),
        await forge.token(app, "write"),
        await forge.token(other, "read"),
        await forge.token(other, "write"),
    ]
    assert len({each.secret.get_secret_value() for each in made}) == 4
    assert not any(each.secret.get_secret_value() in repr(each) for each in made)
