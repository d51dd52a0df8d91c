"""The process builder: what hostile build commands get, and what they cannot do."""

import asyncio
import os
import sys

import pytest
from pids import is_gone
from pydantic import SecretStr

from sidecar.wire.preview_spec import PreviewSpec
from tasks.builders import process
from tasks.builders.commands import run
from tasks.builders.errors import BuildFailed
from tasks.builders.process import Place, Source

SHA = "a" * 40


def spec_of(*build, **fields):
    return PreviewSpec(
        name="app",
        kind="process",
        directory=fields.pop("directory", "."),
        build=build,
        run=("true",),
        health_path="/",
        startup_seconds=1,
        **fields,
    )


@pytest.fixture
def place(tmp_path):
    return Place(root=tmp_path / "builds", preview_id="p1")


@pytest.fixture
def tree(place):
    made = place.folder / "aaaa-1"
    made.mkdir(parents=True)
    (place.folder / "aaaa-1.home").mkdir()
    return made


async def test_a_build_sees_its_home_and_none_of_this_process_environment(place, tree, monkeypatch):
    monkeypatch.setenv("X1_ACTIVATION_TOKEN_FILE", "/run/secret")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "user:password")
    said = []
    spec = spec_of("env", env={"GREETING": "hello"})
    await process.build(place, SHA, tree, spec, said.append)
    names = {line.partition("=")[0] for line in said}
    assert "GREETING" in names
    assert f"HOME={tree}.home" in said
    assert not any(name.startswith(("X1_", "PREFECT_")) for name in names)


async def test_a_failed_build_brings_its_last_lines_and_no_marker(place, tree):
    spec = spec_of("sh", "-c", "seq 1 80; echo broken; exit 3")
    with pytest.raises(BuildFailed, match="exit 3") as failed:
        await process.build(place, SHA, tree, spec, lambda _: None)
    assert (len(failed.value.lines), failed.value.lines[-1]) == (50, "broken")
    assert process.finished(place, SHA, spec) is None


async def test_a_finished_build_is_found_again_by_the_same_spec_alone(place, tree):
    spec = spec_of("true")
    await process.build(place, SHA, tree, spec, lambda _: None)
    assert process.finished(place, SHA, spec) == tree
    assert process.finished(place, SHA, spec_of("make")) is None
    assert process.finished(place, "b" * 40, spec) is None


async def test_a_build_that_takes_too_long_ends_with_all_it_started(tmp_path):
    marker = tmp_path / "pid"
    with pytest.raises(BuildFailed, match="longer than"):
        await run(
            ["sh", "-c", f"sleep 60 & echo $! > {marker}; wait"],
            cwd=tmp_path,
            environment={"PATH": os.environ["PATH"]},
            seconds=3,
            say=lambda _: None,
        )
    child = int(marker.read_text())
    async with asyncio.timeout(20):
        while not is_gone(child):
            await asyncio.sleep(0.01)


BUILDER = """
import asyncio, os, sys
from pathlib import Path
from tasks.builders.commands import run

asyncio.run(run(
    ["sh", "-c", f"sleep 60 & echo $! $$ > {sys.argv[1]}.part; mv {sys.argv[1]}.part {sys.argv[1]}; wait"],
    cwd=Path.cwd(), environment={"PATH": os.environ["PATH"]}, seconds=60, say=print,
))
"""


async def test_a_build_dies_with_the_flow_that_runs_it(tmp_path):
    marker = tmp_path / "pids"
    flow = await asyncio.create_subprocess_exec(sys.executable, "-c", BUILDER, str(marker))
    async with asyncio.timeout(60):
        while not marker.exists():
            await asyncio.sleep(0.01)
        flow.kill()
        await flow.wait()
        started = [int(word) for word in marker.read_text().split()]
        while not all(is_gone(each) for each in started):
            await asyncio.sleep(0.01)


async def test_a_child_that_keeps_the_pipe_open_is_not_waited_for(tmp_path):
    said = []
    await run(
        ["sh", "-c", "sleep 60 & echo done"],
        cwd=tmp_path,
        environment={"PATH": os.environ["PATH"]},
        seconds=30,
        say=said.append,
    )
    assert said == ["done"]


async def test_a_flood_of_words_and_a_missing_program_end_the_build(tmp_path):
    environment = {"PATH": os.environ["PATH"]}
    with pytest.raises(BuildFailed, match="wrote more than"):
        await run(
            ["yes", "word " * 200],
            cwd=tmp_path,
            environment=environment,
            seconds=30,
            say=lambda _: None,
        )
    with pytest.raises(BuildFailed, match="cannot be started"):
        await run(
            ["no-such-program"],
            cwd=tmp_path,
            environment=environment,
            seconds=5,
            say=lambda _: None,
        )


def test_a_link_out_of_the_tree_is_not_followed(tree, tmp_path):
    (tree / "out").symlink_to(tmp_path)
    (tree / "sub").mkdir()
    assert process.inside(tree, "sub") == (tree / "sub").resolve()
    for path in ("out", "missing"):
        with pytest.raises(BuildFailed, match="not a directory"):
            process.inside(tree, path)


async def test_tidying_leaves_what_is_served(place, tree):
    other = place.folder / "bbbb-1"
    other.mkdir()
    await process.build(place, SHA, tree, spec_of("true"), lambda _: None)
    await process.build(place, "b" * 40, other, spec_of(), lambda _: None)
    process.tidy(place, tree)
    assert process.finished(place, SHA, spec_of("true")) == tree
    assert not other.exists()
    process.tidy(place, None)
    assert not place.folder.exists()


def test_a_token_is_in_no_argument_and_in_no_url():
    source = Source(
        git_url="http://forge",
        repo="acme/app",
        branch="main",
        revision=SHA,
        git_token=SecretStr("secret-token"),
    )
    environment = process._credentials(source)
    assert environment["GIT_CONFIG_KEY_0"] == "http.http://forge/.extraHeader"
    assert "secret-token" not in str(source)
