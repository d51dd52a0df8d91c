"""A disk that is nearly full: new work is refused or waits and says so, and begins when there is room."""

import pytest

from sidecar.domain.errors import DiskFull
from sidecar.relay.activating import request_missing
from sidecar.relay.operator.starts import start_agent


@pytest.fixture
def full(desk, tmp_path):
    """Call it with the bytes that new work needs."""
    settings = desk.services.settings
    settings.watched_disk = tmp_path

    def needs(size):
        settings.least_free_bytes = size

    needs(1 << 62)
    return needs


async def waits_for(desk, session_id):
    async with desk.services.store.transaction() as tx:
        return (await tx.activations.open_of(session_id)).queued_reason


async def test_a_session_waits_for_room_says_so_and_then_goes_on(desk, tmp_path, full):
    full(0)
    child = await desk.spawn(await desk.start())
    full(1 << 62)
    await request_missing(desk.services)
    assert "the disk is nearly full" in await waits_for(desk, child)
    full(0)
    desk.clock.pass_(3)
    await request_missing(desk.services)
    assert await waits_for(desk, child) is None
    assert [run.parameters.get("session_id") for run in desk.prefect.runs.values()][1:] == [child]


async def test_a_spawn_is_refused_and_its_repeat_hires_one_child(desk, full):
    full(0)
    boss = await desk.start()
    full(1 << 62)
    with pytest.raises(DiskFull, match="MiB free, new work needs"):
        await desk.spawn(boss, key="once")
    full(0)
    assert await desk.spawn(boss, key="once") == await desk.spawn(boss, key="once")


async def test_a_new_session_is_refused_and_a_live_one_still_woken(desk, full):
    with pytest.raises(DiskFull):
        await start_agent(desk.services, "boss", None, "ada")
    with pytest.raises(DiskFull):
        await desk.start()
    full(0)
    live = await desk.start()
    full(1 << 62)
    answer = await desk.claim(await desk.run(), agent="boss", text="still there?")
    assert (answer.outcome, answer.session_id) == ("forwarded", live.session_id)
