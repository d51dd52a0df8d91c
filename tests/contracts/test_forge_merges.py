"""How a forge merges, of GitHub's client and of its double alike."""

import asyncio
import uuid

import pytest
from forge_ground import Ground

from sidecar.domain.errors import MergeConflict
from sidecar.domain.ids import Repository, Revision

UNKNOWN = Revision("f" * 40)


@pytest.fixture
def app() -> Repository:
    return Repository(f"acme/{uuid.uuid4().hex}")


async def test_a_branch_ahead_is_merged_by_a_merge_commit(ground: Ground, app: Repository):
    main = await ground.commit(app, "main", {"a": b"1"})
    head = await ground.commit(app, "feat", {"b": b"1"}, start=main)
    merged = await ground.forge.merge(app, "main", head, "Merge it")
    assert merged not in (main, head)
    assert await ground.forge.head(app, "main") == merged
    assert await ground.forge.is_ancestor(app, main, merged)
    assert await ground.forge.is_ancestor(app, head, merged)
    assert await ground.forge.head(app, "feat") == head


async def test_a_base_that_moved_keeps_what_both_sides_did(ground: Ground, app: Repository):
    begin = await ground.commit(app, "main", {"a": b"1"})
    head = await ground.commit(app, "feat", {"b": b"1"}, start=begin)
    await ground.commit(app, "main", {"c": b"1"})
    merged = await ground.forge.merge(app, "main", head, "Merge it")
    for name in ("a", "b", "c"):
        assert await ground.forge.read_file(app, name, merged) == b"1"


async def test_a_merge_that_is_repeated_returns_the_same_commit(ground: Ground, app: Repository):
    main = await ground.commit(app, "main", {"a": b"1"})
    head = await ground.commit(app, "feat", {"b": b"1"}, start=main)
    merged = await ground.forge.merge(app, "main", head, "Merge it")
    assert await ground.forge.merge(app, "main", head, "Merge it") == merged
    assert await ground.forge.merge(app, "main", main, "Merge it") == merged
    later = await ground.commit(app, "main", {"c": b"1"})
    assert await ground.forge.merge(app, "main", head, "Merge it") == later


async def test_two_changes_of_one_line_conflict_and_base_stays(ground: Ground, app: Repository):
    begin = await ground.commit(app, "main", {"a": b"1\n"})
    head = await ground.commit(app, "feat", {"a": b"2\n"}, start=begin)
    main = await ground.commit(app, "main", {"a": b"3\n"})
    with pytest.raises(MergeConflict, match=rf"{head[:8]} does not merge into main"):
        await ground.forge.merge(app, "main", head, "Merge it")
    assert await ground.forge.head(app, "main") == main


async def test_the_same_change_on_both_sides_is_no_conflict(ground: Ground, app: Repository):
    begin = await ground.commit(app, "main", {"a": b"1\n"})
    head = await ground.commit(app, "feat", {"a": b"2\n", "b": b"1"}, start=begin)
    await ground.commit(app, "main", {"a": b"2\n"})
    merged = await ground.forge.merge(app, "main", head, "Merge it")
    assert await ground.forge.read_file(app, "a", merged) == b"2\n"


async def test_unrelated_histories_do_not_merge(ground: Ground, app: Repository):
    main = await ground.commit(app, "main", {"a": b"1"})
    foreign = await ground.commit(app, "foreign", {"b": b"1"})
    with pytest.raises(MergeConflict):
        await ground.forge.merge(app, "main", foreign, "Merge it")
    assert await ground.forge.head(app, "main") == main


@pytest.mark.parametrize("base", ["none", "main~1", "", "m\0n"])
async def test_only_a_branch_is_merged_into(ground: Ground, app: Repository, base: str):
    begin = await ground.commit(app, "main", {"a": b"1"})
    await ground.commit(app, "main", {"a": b"2"})
    head = await ground.commit(app, "feat", {"b": b"1"}, start=begin)
    for commit in (head, begin):
        with pytest.raises(MergeConflict):
            await ground.forge.merge(app, base, commit, "Merge it")


async def test_an_unknown_commit_does_not_merge(ground: Ground, app: Repository):
    await ground.commit(app, "main", {"a": b"1"})
    with pytest.raises(MergeConflict):
        await ground.forge.merge(app, "main", UNKNOWN, "Merge it")


@pytest.mark.parametrize("message", ["", "-x", "Line\n\nAnd 'more' $(words) \0 ü", "#"])
async def test_a_merge_takes_any_message(ground: Ground, app: Repository, message: str):
    main = await ground.commit(app, "main", {"a": b"1"})
    head = await ground.commit(app, "feat", {"b": b"1"}, start=main)
    merged = await ground.forge.merge(app, "main", head, message)
    assert await ground.forge.head(app, "main") == merged


async def test_merges_at_the_same_time_lose_nothing(ground: Ground, app: Repository):
    main = await ground.commit(app, "main", {"a": b"1"})
    heads = [await ground.commit(app, f"feat/{name}", {name: b"1"}, start=main) for name in "bcd"]
    merging = (ground.forge.merge(app, "main", head, "Merge it") for head in heads)
    told = await asyncio.gather(*merging, return_exceptions=True)
    standing = await ground.forge.head(app, "main")
    assert standing is not None
    for head, merged in zip(heads, told, strict=True):
        assert isinstance(merged, (str, MergeConflict))
        has_it = await ground.forge.is_ancestor(app, head, standing)
        assert has_it == isinstance(merged, str)
