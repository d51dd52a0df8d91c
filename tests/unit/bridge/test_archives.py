"""What goes into an archive of a zone, and what an enemy's archive comes to."""

import io
import os
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from sidecar.bridge import archive
from sidecar.bridge.packing import Selection, pack
from sidecar.bridge.unpacking import BadArchive, unpack

ENV = {"HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
CAP = 1 << 24


def packed(root, *names, **more):
    out = io.BytesIO()
    pack(Selection(root=root, names=names, env=ENV, **more), out)
    return out.getvalue()


def names_of(content):
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return set(tar.getnames())


def unpacked(content, root):
    root.mkdir()
    unpack(io.BytesIO(content), root)
    return root


async def pieces(content):
    for at in range(0, len(content), 10_000):
        yield content[at : at + 10_000]


def git(tree, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *who, *words], cwd=tree, check=True, capture_output=True)


def test_what_git_ignores_stays_and_everything_else_goes(tmp_path):
    tree = tmp_path / "work" / "app"
    (tree / "node_modules" / "x").mkdir(parents=True)
    git(tree, "init", "-q", ".")
    for name, text in {
        ".gitignore": "node_modules/\n*.log\n",
        "kept.py": "1",
        "node_modules/x/big.js": "2",
        "out.log": "3",
        "tracked.log": "4",
    }.items():
        (tree / name).write_text(text)
    git(tree, "add", "-f", "kept.py", "tracked.log", ".gitignore")
    git(tree, "commit", "-qm", "unpushed")
    (tree / "draft.py").write_text("untracked")
    names = names_of(packed(tmp_path, "work"))
    assert {"work/app/kept.py", "work/app/tracked.log", "work/app/draft.py"} <= names
    assert "work/app/.git/HEAD" in names
    assert not {each for each in names if "node_modules" in each or each.endswith("out.log")}


def test_what_is_named_to_stay_stays(tmp_path):
    for name in ("state/home/secret", "state/home/kept", "state/tmp/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    content = packed(tmp_path, "state", without=["state/home/secret", "state/tmp"])
    assert names_of(content) == {"state", "state/home", "state/home/kept"}


def test_what_did_not_change_is_the_same_bytes(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "tree" / name / "file").write_text(name)
    assert packed(tmp_path, "tree") == packed(tmp_path, "tree")


def test_a_file_that_grows_or_shrinks_meanwhile_has_the_size_it_had(tmp_path, monkeypatch):
    (tmp_path / "log").write_bytes(b"x" * 1000)
    named = tarfile.TarFile.gettarinfo

    def and_then(*words, **more):
        member = named(*words, **more)
        member.size += 24
        return member

    monkeypatch.setattr(tarfile.TarFile, "gettarinfo", and_then)
    content = packed(tmp_path, "log")
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert tar.extractfile("log").read() == b"x" * 1000 + b"\0" * 24


def test_a_tree_deeper_than_the_stack_is_packed(tmp_path):
    depth, here = 1100, os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        inside = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inside
    os.close(here)
    assert len(names_of(packed(tmp_path, "d"))) == depth
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_pipes_and_what_cannot_be_read_are_left_out(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    os.mkfifo(tree / "pipe")
    (tree / "file").write_text("x")
    assert names_of(packed(tmp_path, "tree", "absent")) == {"tree", "tree/file"}


async def test_links_modes_and_odd_names_come_back_as_they_were(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "run").write_text("#!/bin/sh")
    (tree / "run").chmod(0o755)
    (tree / "python").symlink_to("/usr/bin/python3")
    (tree / "up").symlink_to("../../elsewhere")
    os.link(tree / "run", tree / "twin")
    odd = os.fsencode(tree) + b"/\xff odd\n"
    Path(os.fsdecode(odd)).write_text("odd")
    await archive.unpacked(pieces(packed(tmp_path, "tree")), tmp_path / "again", CAP)
    again = tmp_path / "again" / "tree"
    assert (again / "run").stat().st_mode & 0o777 == 0o755
    assert (again / "twin").samefile(again / "run")
    assert (again / "python").readlink() == Path("/usr/bin/python3")
    assert (again / "up").readlink() == Path("../../elsewhere")
    assert Path(os.fsdecode(os.fsencode(again) + b"/\xff odd\n")).read_text() == "odd"


def member(name, kind=tarfile.REGTYPE, content=b"", **fields):
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, len(content)
    for each, value in fields.items():
        setattr(made, each, value)
    return made, content


def hostile(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for made, content in members:
            tar.addfile(made, io.BytesIO(content))
    return out.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    return member(name, kind, linkname=target)


HOSTILE = {
    "a name that climbs": hostile(member("../out", content=b"x")),
    "an absolute name": hostile(member("/tmp/out", content=b"x")),
    "a name that climbs inside": hostile(member("a/../../out", content=b"x")),
    "a device": hostile(member("null", tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "a pipe": hostile(member("pipe", tarfile.FIFOTYPE)),
    "a file through a link": hostile(link("a", "../out"), member("a/out", content=b"x")),
    "a link through a link": hostile(link("a", "../out"), link("a/out", "/etc/passwd")),
    "a hard link out": hostile(link("a", "../secret", tarfile.LNKTYPE)),
    "an absolute hard link": hostile(link("a", "/etc/passwd", tarfile.LNKTYPE)),
    "a hard link through a link": hostile(
        link("a", "../out"), link("b", "a/secret", tarfile.LNKTYPE)
    ),
    "a hole of a terabyte": hostile(member("hole", tarfile.GNUTYPE_SPARSE)),
    "no tar": b"this is no tar" * 100,
    "half a tar": hostile(member("a", content=b"x" * 9000))[:2000],
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_archive_touches_nothing_and_leaves_nothing(tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "secret").write_text("s")
    (out / "secret").write_text("s")
    content = HOSTILE[name]
    with pytest.raises((BadArchive, OSError)):
        await archive.unpacked(pieces(content), tmp_path / "in", CAP)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out", "secret"]
    assert [each.name for each in out.iterdir()] == ["secret"]
    assert (out / "secret").stat().st_nlink == 1


def test_a_link_stands_for_itself_and_a_set_uid_bit_for_nothing(tmp_path):
    content = hostile(member("su", content=b"x", mode=0o6777), link("etc", "/etc"))
    root = unpacked(content, tmp_path / "in")
    assert (root / "su").stat().st_mode & 0o7777 == 0o755
    assert (root / "etc").is_symlink()


async def test_what_is_there_already_is_not_written_over(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "mine").write_text("mine")
    with pytest.raises(OSError, match="exists"):
        await archive.unpacked(pieces(hostile(member("mine"))), tmp_path / "in", CAP)
    assert (tmp_path / "in" / "mine").read_text() == "mine"


async def test_a_sender_that_gives_up_leaves_nothing(tmp_path):
    async def cut_off():
        yield hostile(member("a", content=b"x"))[:1024]
        raise archive.CutOff("not what was stored")

    with pytest.raises(archive.CutOff):
        await archive.unpacked(cut_off(), tmp_path / "in", CAP)
    assert not (tmp_path / "in").exists()
    assert threading.active_count() < 10
