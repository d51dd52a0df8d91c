"""What hands do in an agent's zone, whether it is beside the sidecar or behind a bridge."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack, aclosing, suppress
from pathlib import Path

import pytest
from bridges import bridge_at
from pids import is_gone, working_at

from sidecar.bridge.packing import Selection
from sidecar.pod.acp.errors import RuntimeExited
from sidecar.pod.bridged import BridgedHands
from sidecar.pod.hands import ZoneFailed
from sidecar.pod.local import LocalHands
from sidecar.pod.process import adopt_orphans
from sidecar.wire.frames import MAX_COMPLAINT_BYTES, MAX_OUTPUT_BYTES, WINDOW_BYTES

PATIENCE_SECONDS = 30.0
"""For what a program does on a busy machine, its start included."""


@pytest.fixture(params=["local", "bridged"])
async def hands(request, tmp_path):
    async with AsyncExitStack() as stack:
        if request.param == "local":
            adopt_orphans()
            yield LocalHands(tmp_path)
        else:
            await stack.enter_async_context(bridge_at(tmp_path / "b.sock"))
            yield BridgedHands(tmp_path / "b.sock", log_dir=tmp_path)


async def until(condition):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


class Living:
    """A runtime of `code`, drained as its supervisor would, ended with the test."""

    def __init__(self, hands, folder, code, *arguments):
        self.hands, self.folder = hands, folder
        self.argv = [sys.executable, "-uc", code, *arguments]

    async def __aenter__(self):
        self.live = await self.hands.start(self.argv, cwd=self.folder, env={"X1_SIDECAR_URL": "u"})
        self.draining = asyncio.create_task(self.live.drain())
        return self.live

    async def __aexit__(self, *_):
        await self.live.end()
        await asyncio.wait_for(everything(self.live.reader), PATIENCE_SECONDS)
        await asyncio.wait({self.draining}, timeout=5)
        self.draining.cancel()
        with suppress(asyncio.CancelledError):
            await self.draining


async def everything(reader):
    out = b""
    while chunk := await reader.read(65536):
        out += chunk
    return out


async def one_line(reader):
    line = b""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not line.endswith(b"\n"):
            line += await reader.read(65536)
    return line


async def run(hands, folder, code, *arguments, env=None, timeout=20):
    argv = [sys.executable, "-c", code, *arguments]
    return await hands.run(argv, cwd=folder, env=env or {}, timeout=timeout)


async def test_a_file_is_put_whole_with_its_mode(hands, tmp_path):
    path = tmp_path / "a" / "b.txt"
    await hands.put(path, "ä\n", 0o600)
    await hands.put(path, "second\n", 0o700)
    assert path.read_text() == "second\n"
    assert path.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["b.txt"]


async def test_a_link_in_a_files_place_is_replaced_and_not_followed(hands, tmp_path):
    (tmp_path / "victim").write_text("safe")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    await hands.put(tmp_path / "link", "new", 0o600)
    assert (tmp_path / "victim").read_text() == "safe"
    assert (tmp_path / "link").read_text() == "new"


async def test_folders_are_made_and_trees_removed_twice_without_complaint(hands, tmp_path):
    for _ in range(2):
        await hands.make_folders(tmp_path / "x" / "y", tmp_path / "z")
    assert await hands.exists(tmp_path / "x" / "y")
    assert (tmp_path / "z").stat().st_mode & 0o777 == 0o700
    for _ in range(2):
        await hands.remove(tmp_path / "x")
    assert not await hands.exists(tmp_path / "x")


async def test_a_removed_link_leaves_what_it_points_to(hands, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    await hands.remove(tmp_path / "link")
    assert (tmp_path / "kept").is_dir()
    assert not (tmp_path / "link").is_symlink()


async def test_an_installed_tree_moves_aside_what_stood_there(hands, tmp_path):
    for name in ("part", "place"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    await hands.install(tmp_path / "part", tmp_path / "place")
    assert (tmp_path / "place" / "part").exists()
    assert [each for each in tmp_path.glob("place.aside-*") if (each / "place").exists()]


async def test_what_cannot_be_done_is_said(hands, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ZoneFailed, match=r"Not a directory|exists"):
        await hands.put(tmp_path / "file" / "below", "", 0o600)


async def test_a_program_is_run_with_its_environment_and_nothing_else(hands, tmp_path, monkeypatch):
    monkeypatch.setenv("OPERATORS", "secret")
    code = "import os, sys; print(sorted(os.environ)); print(os.getcwd(), file=sys.stderr); sys.exit(3)"
    done = await run(hands, tmp_path, code, env={"MINE": "1", "LC_ALL": "C.UTF-8"})
    assert done.code == 3
    assert eval(done.out) == ["LC_ALL", "MINE", "PATH"]
    assert done.err.decode().strip() == str(tmp_path)


async def test_the_given_path_goes_before_the_zones_own(hands, tmp_path):
    tool = tmp_path / "bin" / "git"
    await hands.put(tool, "#!/bin/sh\necho mine\n", 0o700)
    done = await hands.run(["git"], cwd=tmp_path, env={"PATH": str(tool.parent)}, timeout=20)
    assert done.out == b"mine\n"
    done = await hands.run(["sh", "-c", "true"], cwd=tmp_path, env={"PATH": "/nowhere"}, timeout=20)
    assert done.code == 0


async def test_of_a_flood_the_beginning_of_output_and_the_end_of_complaints_are_kept(
    hands, tmp_path
):
    code = "import sys; sys.stdout.write('a' + 'b' * (3 << 20)); sys.stderr.write('c' * (3 << 20) + 'd')"
    done = await run(hands, tmp_path, code)
    assert (len(done.out), done.out[:1]) == (MAX_OUTPUT_BYTES, b"a")
    assert (len(done.err), done.err[-1:]) == (MAX_COMPLAINT_BYTES, b"d")


async def test_an_absent_program_is_said(hands, tmp_path):
    with pytest.raises(ZoneFailed, match="No such file"):
        await hands.run(["no-such-program"], cwd=tmp_path, env={}, timeout=20)


async def test_an_overdue_program_is_dead(hands, tmp_path):
    with pytest.raises(TimeoutError):
        await run(hands, tmp_path, "import time; time.sleep(600)", timeout=0.5)
    await until(lambda: not working_at(str(tmp_path)))


async def test_a_program_nobody_waits_for_any_more_is_dead(hands, tmp_path):
    code = "import os, time; print(os.getpid(), file=open('pid', 'w'), flush=True); time.sleep(600)"
    waiting = asyncio.create_task(run(hands, tmp_path, code, timeout=600))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(lambda: is_gone(int((tmp_path / "pid").read_text())))


async def test_a_runtime_is_spoken_with_both_ways(hands, tmp_path):
    code = "import sys\nfor line in sys.stdin: print(line.upper(), end='')\nprint('over')"
    async with Living(hands, tmp_path, code) as live:
        live.writer.write(b"hel")
        live.writer.write(b"lo\n")
        await live.writer.drain()
        assert await one_line(live.reader) == b"HELLO\n"
        live.writer.close()
        assert await everything(live.reader) == b"over\n"
        await asyncio.wait_for(live.wait(), PATIENCE_SECONDS)
        assert live.how_it_ended == "exit code 0"


async def test_more_than_a_window_goes_through_in_both_directions(hands, tmp_path):
    sent = os.urandom(3 * WINDOW_BYTES)
    code = "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"
    async with Living(hands, tmp_path, code) as live:

        async def feed():
            live.writer.write(sent)
            await live.writer.drain()
            live.writer.close()

        async with asyncio.timeout(PATIENCE_SECONDS):
            _, received = await asyncio.gather(feed(), everything(live.reader))
    assert received == sent


async def test_a_dead_runtime_is_dead_while_what_it_started_holds_its_pipes(hands, tmp_path):
    code = "import subprocess, sys; subprocess.Popen(['sleep', '600']); sys.exit(3)"
    async with Living(hands, tmp_path, code) as live:
        await asyncio.wait_for(live.wait(), PATIENCE_SECONDS)
        assert live.how_it_ended == "exit code 3"


async def test_a_runtime_is_slowed_down_by_who_does_not_read(hands, tmp_path):
    code = """
import pathlib, sys
for n in range(1000):
    sys.stdout.write('x' * 65536); pathlib.Path('n').write_text(str(n))
"""
    async with Living(hands, tmp_path, code) as live:
        written = tmp_path / "n"
        await until(lambda: written.exists() and written.read_text() != "")
        before = ""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while before != (before := written.read_text()) or not before:
                await asyncio.sleep(0.5)
        assert int(before) * 65536 < 4 * WINDOW_BYTES
        await asyncio.wait_for(live.end(), PATIENCE_SECONDS)
        assert live.how_it_ended.startswith("killed by signal")


async def test_a_runtime_that_reads_nothing_can_still_be_killed(hands, tmp_path):
    async with Living(hands, tmp_path, "import time; time.sleep(600)") as live:
        live.writer.write(b"x" * (8 << 20))
        feeding = asyncio.create_task(live.writer.drain())
        await asyncio.sleep(0)
        live.kill()
        await asyncio.wait_for(live.wait(), PATIENCE_SECONDS)
        with suppress(ConnectionError):
            await asyncio.wait_for(feeding, PATIENCE_SECONDS)
        assert live.how_it_ended == "killed by signal 9"


async def test_what_a_runtime_complains_is_kept_to_its_end_and_in_a_log(hands, tmp_path):
    code = "import sys; sys.stderr.write('x' * (1 << 20) + 'the end'); sys.exit(7)"
    async with Living(hands, tmp_path, code) as live:
        await asyncio.wait_for(live.wait(), PATIENCE_SECONDS)
        await until(lambda: live.complaints().endswith("the end"))
        assert len(live.complaints()) <= 8 * 1024
        assert live.how_it_ended == "exit code 7"
    assert (tmp_path / "runtime.log").read_text().endswith("the end")


async def test_an_absent_runtime_is_named(hands, tmp_path):
    with pytest.raises(RuntimeExited, match="no-such-runtime cannot be started: No such file"):
        await hands.start(["no-such-runtime"], cwd=tmp_path, env={})


async def test_a_runtime_may_end_politely_when_asked(hands, tmp_path):
    code = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(0)))
print('up')
while True: time.sleep(0.05)
"""
    async with Living(hands, tmp_path, code) as live:
        assert await one_line(live.reader) == b"up\n"
        await live.end()
        assert await everything(live.reader) == b"saved\n"
        assert live.how_it_ended == "exit code 0"
        await live.end()


async def test_what_a_runtime_started_in_another_session_ends_with_it(hands, tmp_path):
    code = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for n in (0, 1, 2): os.close(n)
        open('orphan', 'w').write(str(os.getpid())); os.rename('orphan', 'pid')
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""
    async with Living(hands, tmp_path, code) as live:
        await until((tmp_path / "pid").exists)
        orphan = int((tmp_path / "pid").read_text())
        await live.end()
        assert is_gone(orphan)


async def test_a_tree_goes_out_and_comes_back_with_links_and_modes(hands, tmp_path):
    tree = tmp_path / "tree"
    (tree / "src").mkdir(parents=True)
    (tree / "src" / "run").write_bytes(os.urandom(300_000))
    (tree / "src" / "run").chmod(0o755)
    (tree / "link").symlink_to("src/run")
    os.mkfifo(tree / "src" / "pipe")
    kept = [
        each
        async for each in hands.save(Selection(root=tree, names=["src", "link", "absent"]), 1 << 24)
    ]

    async def stream():
        for each in kept:
            yield each

    await hands.restore(tmp_path / "again", stream(), 1 << 24)
    again = tmp_path / "again"
    assert (again / "src" / "run").read_bytes() == (tree / "src" / "run").read_bytes()
    assert (again / "src" / "run").stat().st_mode & 0o111
    assert (again / "link").readlink() == Path("src/run")
    assert not (again / "src" / "pipe").exists()


async def test_what_is_over_the_cap_is_not_saved(hands, tmp_path):
    (tmp_path / "big").write_bytes(bytes(3 << 20))
    async with aclosing(hands.save(Selection(root=tmp_path, names=["big"]), 1 << 20)) as stream:
        with pytest.raises(ZoneFailed, match="more than"):
            assert not [each async for each in stream]


async def test_a_stream_that_is_no_archive_is_refused(hands, tmp_path):
    async def stream():
        yield b"this is no tar" * 1000

    with pytest.raises(ZoneFailed, match="archive"):
        await hands.restore(tmp_path / "x", stream(), 1 << 20)
