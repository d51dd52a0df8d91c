"""`python -m infra.local.workers READY_FILE`: Prefect's process workers of both pools in one process.

Two worker processes would load Prefect twice. Loading goes on while the server still starts; then the
pools are written as this stack wants them, both workers poll, and READY_FILE appears. Work pools hold a
command of their own, so that a flow run starts one Python and not two.
"""

import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.workers.process import ProcessWorker

from deployments import pools
from deployments.templates import ENGINES

SERVER_SECONDS = 170
POLL_SECONDS = 0.2


async def work(ready: Path) -> None:
    """Runs until SIGTERM or SIGINT, which ends the flow runs too."""
    told = _told_to_stop()
    async with asyncio.TaskGroup() as group:
        working = group.create_task(_work(ready), name="workers")
        await told.wait()
        working.cancel()


async def _work(ready: Path) -> None:
    await _write_pools()
    async with asyncio.TaskGroup() as group:
        for pool in ENGINES:
            worker = ProcessWorker(work_pool_name=pool, name=f"{pool}-worker")
            group.create_task(worker.start(printer=_say), name=pool)
        await asyncio.to_thread(ready.touch)


async def _write_pools() -> None:
    async with get_client() as client:
        async with asyncio.timeout(SERVER_SECONDS):
            while await client.api_healthcheck() is not None:  # noqa: ASYNC110 - it is remote
                await asyncio.sleep(POLL_SECONDS)
    await pools.apply("process")


def _told_to_stop() -> asyncio.Event:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told


def _say(*words: object) -> None:
    sys.stderr.write(" ".join(str(word) for word in words) + "\n")


def _keep_scratch_in(place: Path) -> None:
    """Prefect's workers leave their scratch directories behind when they are killed: here they are found again.

    Only for this process: a flow run's sidecar needs the machine's own, whose paths are short.
    """
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)
    tempfile.tempdir = str(place)


if __name__ == "__main__":
    ready_file = Path(sys.argv[1])
    _keep_scratch_in(ready_file.with_name("worker-scratch"))
    asyncio.run(work(ready_file))
