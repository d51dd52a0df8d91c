import asyncio
import shutil
import sys

import pytest
from pids import is_gone

from infra.local import keeper as keepers
from infra.local.component import Component
from infra.local.errors import CannotStart
from infra.local.keeper import Keeper
from infra.local.processes import STACK_MARK, Records
from infra.local.state import StateDir
from infra.local.status import ComponentState, StatusBoard

WAIT_SECONDS = 20
FOREVER = "import signal; signal.pause()"


@pytest.fixture
def state(tmp_path):
    directory = StateDir(root=tmp_path / "state")
    directory.create()
    return directory


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(keepers, "FIRST_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(keepers, "ORPHAN_SECONDS", 2.0)


def keeper(state, code, *, is_ready=None, **more):
    async def always() -> bool:
        return True

    component = Component(
        name="thing",
        argv=(sys.executable, "-c", code),
        directory=state.root,
        is_ready=is_ready or always,
        **more,
    )
    board = StatusBoard(state, {})
    kept = Keeper(component, state, Records(state), board, {STACK_MARK: "test"})
    return kept, board.components["thing"]


async def until(condition):
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_component_that_dies_is_started_again_with_its_reason_shown(state):
    kept, status = keeper(state, FOREVER)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(kept.run(), name="keep")
        await until(lambda: status.state is ComponentState.READY)
        first = status.pid
        kept._process.kill()
        await until(lambda: status.state is ComponentState.READY and status.pid != first)
        running.cancel()
    assert status.restarts == 1
    await kept.stop()
    assert status.state is ComponentState.STOPPED
    assert Records(state).alive() == []


async def test_a_component_that_cannot_start_says_why_in_one_line_with_its_log(state):
    async def never() -> bool:
        return False

    kept, status = keeper(state, "raise SystemExit('fatal: no such file')", is_ready=never)
    with pytest.raises(CannotStart) as refused:
        async with asyncio.timeout(WAIT_SECONDS):
            await kept.run()
    first_line = str(refused.value).splitlines()[0]
    assert "fatal: no such file" in first_line
    assert str(state.log("thing")) in first_line
    assert status.state is ComponentState.FAILED
    await kept.stop()


async def test_one_that_never_serves_is_given_up_after_its_time(state):
    async def never() -> bool:
        return False

    kept, _ = keeper(state, FOREVER, is_ready=never, start_seconds=0.2)
    with pytest.raises(CannotStart, match="was not ready within"):
        async with asyncio.timeout(WAIT_SECONDS):
            await kept.run()
    await kept.stop()
    assert Records(state).alive() == []


async def test_stopping_kills_the_group_of_one_that_ignores_the_request(state):
    stubborn = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "open('child', 'w').write(str(child.pid))\n"
        "signal.pause()"
    )
    kept, status = keeper(state, stubborn, stop_seconds=0.2)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(kept.run(), name="keep")
        await until(lambda: (state.root / "child").exists() and (state.root / "child").read_text())
        running.cancel()
    child = int((state.root / "child").read_text())
    await kept.stop()
    await until(lambda: is_gone(child))
    assert status.state is ComponentState.STOPPED


async def test_stopping_one_that_sweeps_ends_what_left_its_group_too(state):
    leaves = (
        "import subprocess, sys; left = subprocess.Popen(['sleep', '600'], start_new_session=True);"
        "open('left', 'w').write(str(left.pid));" + FOREVER
    )
    kept, _ = keeper(state, leaves, sweeps=True)
    left = state.root / "left"
    async with asyncio.TaskGroup() as group:
        running = group.create_task(kept.run())
        await until(lambda: left.exists() and left.read_text())
        running.cancel()
    await kept.stop()
    assert is_gone(int(left.read_text()))


async def test_a_disk_that_takes_no_status_ends_no_component(state, capfd):
    kept, status = keeper(state, FOREVER)
    shutil.rmtree(state.run(""))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(kept.run())
        await until(lambda: status.state is ComponentState.READY)
        running.cancel()
    await kept.stop()
    told = capfd.readouterr().err
    assert "the status could not be written" in told
    assert "the processes could not be recorded" in told
