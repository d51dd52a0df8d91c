"""A program whose start is cut short, at whichever point of it."""

import asyncio
from asyncio.subprocess import PIPE

import pytest
from pids import working_at

from sidecar import subprocesses


@pytest.mark.parametrize("is_leader", [False, True])
@pytest.mark.parametrize("ticks", range(6))
async def test_who_is_cancelled_while_a_program_starts_is_cancelled_and_leaves_none(
    tmp_path, ticks, is_leader
):
    how = {"cwd": tmp_path, "start_new_session": is_leader}
    starting = asyncio.create_task(
        subprocesses.start("sleep", "600", stdin=PIPE, stdout=PIPE, stderr=PIPE, **how)
    )
    for _ in range(ticks):
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait({starting}, timeout=20)
    assert starting.cancelled()
    assert working_at(str(tmp_path)) == []
