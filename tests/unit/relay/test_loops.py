"""The loops: two relays take turns, a failed loop comes back, a nudge is acted on at once."""

import asyncio
from dataclasses import replace

from sidecar.domain.errors import StoreUnavailable
from sidecar.relay.loops import activator, deadlines, rounds, supervisor


async def until(condition, seconds=20.0):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.005)


async def cancelled(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_spawn_has_its_run_before_any_poll(desk, monkeypatch):
    monkeypatch.setattr(activator, "REQUEST_EVERY_SECONDS", 3600)
    boss = await desk.start()
    task = asyncio.create_task(activator.run(desk.services))
    await asyncio.sleep(0)
    child = await desk.spawn(boss)

    async def has_run():
        return any(run.parameters.get("session_id") == child for run in desk.prefect.runs.values())

    await until(has_run)
    await cancelled(task)


async def test_one_relay_at_a_time_runs_a_loop(desk, desk_of):
    services = [desk.services, desk_of().services]
    passes = []

    async def one_pass(each):
        passes.append(each.replica)

    tasks = [
        asyncio.create_task(rounds.rounds(each, "loop", one_pass, every_seconds=0.001))
        for each in services
    ]

    async def has_run_often():
        return len(passes) > 20

    await until(has_run_often)
    for task in tasks:
        await cancelled(task)
    assert len(set(passes)) == 1


async def test_a_loop_that_fails_is_started_again(desk, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.001)
    attempts = []

    async def loop(services):
        attempts.append(1)
        if len(attempts) == 1:
            raise StoreUnavailable("away")
        if len(attempts) == 2:
            raise ValueError("a fault")
        await asyncio.Event().wait()

    task = asyncio.create_task(supervisor.supervise(desk.services, {"loop": loop}))

    async def third():
        return len(attempts) == 3

    await until(third)
    await cancelled(task)


async def test_a_session_past_its_deadline_is_cancelled(desk):
    boss = await desk.start()
    child = await desk.spawn(boss)
    budget = (await desk.session(child)).budget
    await desk.change(child, budget=replace(budget, wall_minutes=5))
    await deadlines.enforce(desk.services)
    assert not (await desk.session(child)).status.is_terminal
    desk.clock.pass_(301)
    await deadlines.enforce(desk.services)
    session = await desk.session(child)
    assert session.status == "cancelled"
    assert "5 minutes" in session.outcome
