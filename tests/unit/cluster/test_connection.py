"""What forwards an installation's services to this machine, while there is nothing to forward."""

import asyncio

import pytest

from infra.cluster import connection


class NobodyThere:
    """A kubectl whose every forward ends at once, and leaves a mark."""

    def __init__(self, marks):
        self._marks = marks

    def words(self, *_):
        return ("sh", "-c", f"echo >> {self._marks}; exit 1")


async def test_a_cluster_that_is_away_is_asked_ever_more_rarely(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "RESTART_SECONDS", 0.05)
    marks, loop = tmp_path / "marks", asyncio.get_running_loop()
    marks.touch()
    began = loop.time()
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        forwarding = tasks.create_task(connection._forward(NobodyThere(marks), "relay", 9))
        while len(marks.read_text()) < 5:
            await asyncio.sleep(0.01)
        forwarding.cancel()
    assert loop.time() - began > 0.7, "0.05 s, 0.1 s, 0.2 s and 0.4 s lie between"


class Ending:
    """A process that is waited for, and ends when it is told to."""

    returncode = None

    def __init__(self):
        self.is_awaited, self.end = asyncio.Event(), asyncio.Event()

    async def wait(self):
        self.is_awaited.set()
        await self.end.wait()


@pytest.mark.parametrize("ticks", range(6))
async def test_who_is_cancelled_just_when_a_forward_dies_is_cancelled(ticks):
    process = Ending()
    watching = asyncio.create_task(connection._until_dead(process, "http://127.0.0.1:9/"))
    await process.is_awaited.wait()
    process.end.set()
    for _ in range(ticks):
        await asyncio.sleep(0)
    watching.cancel()
    await asyncio.wait({watching}, timeout=5)
    assert watching.cancelled()
