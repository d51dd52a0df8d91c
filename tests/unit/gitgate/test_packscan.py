"""What a push is let through for, and why not: packs of real git, and of those who are not git."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from packs import (
    BLOB,
    COMMIT,
    OFS_DELTA,
    REF_DELTA,
    ZERO,
    Repo,
    commit_content,
    entry,
    id_of,
    moves,
    packed,
)

from sidecar.domain.attachment import Attachment
from sidecar.domain.ids import Repository
from sidecar.domain.policy import Decision
from sidecar.pod.gitgate.head import Head
from sidecar.pod.gitgate.packscan import PackScanner

MIB = 1 << 20
OLD = "a" * 40


class Forge:
    """Knows the ancestors it was told; writes down what it was asked."""

    def __init__(self, *known: tuple[str, str]) -> None:
        self.known = set(known)
        self.asked: list[tuple[str, str]] = []

    async def is_ancestor(self, old: str, new: str) -> bool:
        self.asked.append((old, new))
        return (old, new) in self.known


async def scan(
    pack: bytes,
    head: Head,
    *,
    forge: Forge | None = None,
    step: int = 1 << 16,
    max_pack_bytes: int = 1 << 30,
) -> Decision:
    attachment = Attachment(
        repo=Repository("acme/app"), branch="main", mount_path="app", max_pack_bytes=max_pack_bytes
    )
    scanner = PackScanner(attachment, head, is_ancestor=(forge or Forge()).is_ancestor)
    for at in range(0, len(pack), step):
        scanner.feed(pack[at : at + step])
        if not scanner.verdict().allowed:
            return scanner.verdict()
    return await scanner.conclude()


async def test_a_line_of_commits_is_proven_without_asking(repo: Repo):
    first, *_, last = repo.line(20)
    forge = Forge()
    decision = await scan(repo.pack(last, f"^{first}"), moves(first, last), forge=forge)
    assert decision.allowed
    assert forge.asked == []


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 19, 20, 21, 64, 1000, 4095, 4097])
async def test_the_verdict_does_not_depend_on_how_the_bytes_are_cut(repo: Repo, step: int):
    repo.add("a.txt", b"a\n" * 4000)
    first, *_, last = repo.line(12, message="A message that deltas well " * 9)
    repo.add("a.txt", random.Random(1).randbytes(9000))
    new = repo.commit(parents=[last])
    aside = repo.commit("Other")
    pack = repo.pack(new, f"^{first}")
    assert (await scan(pack, moves(first, new), step=step)).allowed
    assert "force push" in (await scan(pack, moves(aside, new), step=step)).reason
    assert "checksum" in (await scan(pack[:-1] + b"?", moves(first, new), step=step)).reason


@pytest.mark.parametrize("options", [(), ("--delta-base-offset",)])
async def test_commits_that_git_made_deltas_of_are_resolved(repo: Repo, options: tuple[str, ...]):
    words = " ".join(f"word{number}" for number in range(200))
    first, *_, last = repo.line(60, message=words)
    pack = repo.pack(last, f"^{first}", options=("--window=50", "--depth=50", *options))
    assert len(pack) < 60 * 300, "git made no deltas of these commits"
    assert (await scan(pack, moves(first, last))).allowed


async def test_every_commit_of_a_branched_history_agrees_with_git(repo: Repo):
    chance = random.Random(7)
    made = [repo.commit("Root")]
    for number in range(40):
        parents = chance.sample(made[-5:], min(len(made), chance.choice([1, 1, 2])))
        made.append(repo.commit(f"{number} " + "same words " * 30, parents=parents))
    new = made[-1]
    pack = repo.pack(new)
    ancestors = set(repo.git("rev-list", new).decode().split())
    for old in made:
        decision = await scan(pack, moves(old, new))
        assert decision.allowed == (old in ancestors), old


async def test_a_merge_with_the_branch_is_proven_by_its_second_parent(repo: Repo):
    base = repo.commit("Base")
    ours, theirs = repo.line(3, start=base), repo.line(3, start=base, message="Theirs")
    merge = repo.commit("Merge", parents=[ours[-1], theirs[-1]])
    assert (await scan(repo.pack(merge, f"^{theirs[0]}"), moves(theirs[0], merge))).allowed


async def test_where_the_pack_ends_the_forge_is_asked(repo: Repo):
    old, middle, *_, new = repo.line(6)
    pack = repo.pack(new, f"^{middle}")
    forge = Forge((old, middle))
    assert (await scan(pack, moves(old, new), forge=forge)).allowed
    assert forge.asked == [(old, middle)]
    assert not (await scan(pack, moves(old, new), forge=Forge())).allowed


async def test_a_commit_that_the_forge_has_takes_one_question():
    forge = Forge((OLD, "b" * 40))
    assert (await scan(packed(), moves(OLD, "b" * 40), forge=forge)).allowed
    assert forge.asked == [(OLD, "b" * 40)]


async def test_going_back_is_a_force_push(repo: Repo):
    first, last = repo.line(2)
    decision = await scan(packed(), moves(last, first), forge=Forge((first, last)))
    assert decision.reason == (
        "force push is refused: feat/a at the forge is not an ancestor of what you push;"
        " git pull --rebase, then push"
    )


async def test_an_amended_commit_is_a_force_push(repo: Repo):
    first = repo.commit("First")
    pushed, amended = (repo.commit(text, parents=[first]) for text in ("Second", "Better"))
    forge = Forge((first, pushed))
    decision = await scan(repo.pack(amended, f"^{pushed}"), moves(pushed, amended), forge=forge)
    assert decision.reason.startswith("force push is refused")
    assert forge.asked == [(pushed, first)]


async def test_one_of_two_refs_that_is_forced_refuses_the_push(repo: Repo):
    first, second, third = repo.line(3)
    other = repo.commit("Other")
    head = Head(
        updates=(
            *moves(first, third).updates,
            *moves(other, third, "refs/heads/feat/b").updates,
            *moves(second, second, "refs/heads/feat/c").updates,
        ),
        capabilities=(),
    )
    decision = await scan(repo.pack(third, f"^{first}"), head)
    assert "feat/b at the forge" in decision.reason


async def test_a_new_branch_needs_no_proof_but_a_whole_pack(repo: Repo):
    *_, last = repo.line(3)
    forge = Forge()
    assert (await scan(repo.pack(last), moves(ZERO, last), forge=forge)).allowed
    assert not (await scan(repo.pack(last)[:-3], moves(ZERO, last), forge=forge)).allowed
    assert forge.asked == []


async def test_the_forge_is_asked_a_bounded_number_of_questions():
    content = commit_content(*[f"{number:040x}" for number in range(1, 30)])
    forge = Forge()
    decision = await scan(packed(entry(COMMIT, content)), moves(OLD, id_of(content)), forge=forge)
    assert "smaller steps" in decision.reason
    assert len(forge.asked) == 8


async def test_a_commit_hidden_in_a_delta_on_what_the_forge_has_is_refused_with_what_to_do():
    hidden = entry(REF_DELTA, b"\x05\x05\x90\x05", base=bytes.fromhex("c" * 40))
    decision = await scan(packed(hidden), moves(OLD, "d" * 40))
    assert "git push --no-thin" in decision.reason


async def test_trees_that_are_thin_deltas_do_not_disturb_the_proof(repo: Repo):
    for number in range(50):
        repo.add(f"{number}.txt", b"%d\n" % number)
    old = repo.commit("Old")
    repo.add("7.txt", b"other\n")
    new = repo.commit("New", parents=[old])
    pack = repo.pack(new, f"^{old}")
    assert bytes.fromhex(repo.git("rev-parse", f"{old}^{{tree}}").decode()) in pack, "not thin"
    assert (await scan(pack, moves(old, new))).allowed


@pytest.mark.parametrize(
    "message",
    [f"parent {OLD}", f"\nparent {OLD}\n", f"x\n\ntree {'1' * 40}\nparent {OLD}\n\nx"],
)
async def test_a_parent_named_elsewhere_than_git_reads_it_proves_nothing(message: str):
    content = commit_content(message=message)
    decision = await scan(packed(entry(COMMIT, content)), moves(OLD, id_of(content)))
    assert decision.reason.startswith("force push is refused")


async def test_a_blob_with_the_words_of_a_commit_proves_nothing():
    content = commit_content(OLD)
    decision = await scan(packed(entry(BLOB, content)), moves(OLD, id_of(content)))
    assert decision.reason.startswith("force push is refused")


async def test_ids_of_sha256_are_proven_too(tmp_path: Path, repo: Repo):
    other = Repo(tmp_path / "other", repo.environment)
    other.path.mkdir()
    other.git("init", "--quiet", "--object-format=sha256")
    first, *_, last = other.line(30, message="words that come again " * 20)
    assert len(last) == 64
    assert (await scan(other.pack(last, f"^{first}"), moves(first, last))).allowed


GOOD = packed(entry(COMMIT, commit_content(OLD)), entry(BLOB, b"x" * 100))
NEW = id_of(commit_content(OLD))


def at_end(*entries: bytes) -> bytes:
    return packed(entry(COMMIT, commit_content(OLD)), *entries)


@pytest.mark.parametrize(
    ("pack", "words"),
    [
        (b"", "ends too early"),
        (GOOD[:5], "ends too early"),
        (GOOD[:-20], "ends too early"),
        (GOOD[:-1], "ends too early"),
        (GOOD + b"x", "goes on after"),
        (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "checksum"),
        (b"GET / HTTP/1.1\r\n\r\n", "not a pack"),
        (b"PACK" + b"\xff" * 30, "not a pack"),
        (b"PACK" + (2).to_bytes(4) + b"\xff" * 4, "more than 1,000,000 objects"),
        (packed(b"\x00" + b"x" * 40), "of type 0"),
        (packed(b"\x50" + b"x" * 40), "of type 5"),
        (packed(b"\x30" + b"not zlib at all"), "does not inflate"),
        (packed(b"\xb0" + b"\xff" * 40), "a number does not end"),
        (packed(entry(BLOB, b"abc", says=2)), "longer than it says"),
        (packed(entry(BLOB, b"abc", says=4)), "shorter than it says"),
        (packed(entry(BLOB, b""), entry(BLOB, b"1"), count=3), "damaged"),
        (packed(entry(BLOB, b""), entry(BLOB, b"1"), count=1), "checksum"),
        (at_end(entry(OFS_DELTA, b"\0\0", base=b"\x00")), "base lies outside"),
        (at_end(entry(OFS_DELTA, b"\0\0", base=b"\x83\x00")), "base lies outside"),
        (packed(entry(COMMIT, b"parent of nothing")), "no tree"),
        (packed(entry(COMMIT, b"x" * (MIB + 1))), "commit is larger than 1 MiB"),
    ],
)
@pytest.mark.parametrize("step", [1, 13, 1 << 20])
async def test_what_is_no_pack_is_refused_readably(pack: bytes, words: str, step: int):
    assert words in (await scan(pack, moves(OLD, NEW), step=step)).reason


BASE = commit_content(OLD)
SIZE = len(BASE).to_bytes(1) if len(BASE) < 128 else bytes([len(BASE) & 127 | 128, len(BASE) >> 7])


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        (b"", "does not fit"),
        (b"\xff" * 12, "does not fit"),
        (b"\x01\x01", "does not fit"),
        (SIZE + b"\x01", "does not fit"),
        (SIZE + b"\x01\x00", "does not fit"),
        (SIZE + b"\x01\x02a", "does not fit"),
        (SIZE + b"\x01\x02ab", "does not fit"),
        (SIZE + b"\x01\x91", "does not fit"),
        (SIZE + b"\x01\x91\xff\xff", "does not fit"),
        (SIZE + b"\x01\x80", "does not fit"),
        (SIZE + b"\xff\xff\xff\xff\x7f", "commit is larger than 1 MiB"),
        (SIZE + b"\x01\x01a", "no tree"),
    ],
)
async def test_a_delta_that_does_not_fit_its_commit_is_refused_readably(delta: bytes, words: str):
    pack = packed(entry(COMMIT, BASE), entry(REF_DELTA, delta, base=bytes.fromhex(id_of(BASE))))
    assert words in (await scan(pack, moves(OLD, NEW))).reason


async def test_a_zip_bomb_is_refused_before_it_is_inflated():
    honest = entry(BLOB, b"\0" * (20 * MIB))
    assert len(honest) < 64 * 1024
    decision = await scan(packed(honest), moves(OLD, NEW), max_pack_bytes=MIB)
    assert decision.reason == "the push is larger than 4 MiB when it is inflated"


async def test_a_zip_bomb_that_lies_about_its_size_is_refused():
    lying = entry(BLOB, b"\0" * (20 * MIB), says=3 * MIB)
    decision = await scan(packed(lying), moves(OLD, NEW), max_pack_bytes=MIB)
    assert "longer than it says" in decision.reason


async def test_many_small_bombs_count_together():
    bombs = [entry(BLOB, b"\0" * MIB) for _ in range(5)]
    decision = await scan(packed(*bombs), moves(OLD, NEW), max_pack_bytes=MIB)
    assert "when it is inflated" in decision.reason


async def test_too_many_bytes_of_commits_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sidecar.pod.gitgate.commits.MAX_KEPT_BYTES", 10_000)
    commits = [entry(COMMIT, commit_content(OLD, message=str(each))) for each in range(20)]
    assert "too many commits" in (await scan(packed(*commits), moves(OLD, NEW))).reason


async def test_a_pack_over_the_cap_is_refused():
    noise = random.Random(2).randbytes(2 * MIB)
    decision = await scan(packed(entry(BLOB, noise)), moves(OLD, NEW), max_pack_bytes=MIB)
    assert decision.reason == "the push is larger than 1 MiB"


def flipped(chance: random.Random, pack: bytes) -> bytes:
    at = chance.randrange(len(pack))
    return pack[:at] + bytes([pack[at] ^ (1 << chance.randrange(8))]) + pack[at + 1 :]


def cut(chance: random.Random, pack: bytes) -> bytes:
    return pack[: chance.randrange(len(pack))]


def doubled(chance: random.Random, pack: bytes) -> bytes:
    at, length = chance.randrange(len(pack)), chance.randrange(40)
    return pack[: at + length] + pack[at:]


@pytest.mark.parametrize("damage", [flipped, cut, doubled])
async def test_no_damage_ever_raises_or_is_let_through(
    repo: Repo, damage: Callable[[random.Random, bytes], bytes]
):
    repo.add("a.txt", b"some text\n" * 50)
    first, *_, last = repo.line(10, message="words that come again " * 20)
    pack = repo.pack(last, f"^{first}")
    chance = random.Random(3)
    for _ in range(1000):
        damaged = damage(chance, pack)
        if damaged != pack:
            assert not (await scan(damaged, moves(first, last), step=997)).allowed
