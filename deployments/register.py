"""`python -m deployments.register product | sweep | agents FILE…`: what Prefect must know before anything can run.

`product` registers what prefect.yaml declares. `agents` gives each agent a block, which is its form in
Prefect's UI, and a deployment `session/<slug>`, so that `prefect deployment run session/<slug>` starts it.
With `--keep-blocks` only the deployment: for files made from blocks, which may have been edited meanwhile.
Both may be repeated: what stands is updated in place.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.types.entrypoint import EntrypointType

from blocks.agent import AgentBlock
from deployments.agent_pod import job_variables
from deployments.templates import PREVIEWS, SESSIONS
from flows.session import session
from flows.sweep import sweep
from sidecar.domain.agent import Agent, Schedule
from sidecar.wire.agent_file import parse_agent

SWEEP_EVERY = timedelta(minutes=10)
PROJECT = Path(__file__).resolve().parent.parent


async def register_agents(agents: Sequence[Agent], *, keeps_blocks: bool = False) -> None:
    """Raises Prefect's own errors when its API refuses; ids, not texts, travel as parameters later."""
    if not keeps_blocks:
        await _save_blocks(agents)
    for agent in agents:
        await _deploy(agent)


async def _save_blocks(agents: Sequence[Agent]) -> None:
    await AgentBlock.aregister_type_and_schema()
    for agent in agents:
        await AgentBlock.of(agent).asave(agent.slug, overwrite=True)


async def _deploy(agent: Agent) -> None:
    deployment = await session.ato_deployment(
        name=agent.slug,
        description=agent.description or agent.name,
        parameters={"agent": agent.slug},
        schedules=[_schedule(agent.schedule)] if agent.schedule else [],
        tags=["x1", agent.kind.value],
        work_pool_name=SESSIONS,
        job_variables=job_variables(agent),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    await deployment.aapply()


def _schedule(schedule: Schedule) -> DeploymentScheduleCreate:
    """A tick carries `trigger: scheduler`, so that the relay takes it for a heartbeat."""
    if schedule.cron:
        every = CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
    else:
        interval = timedelta(seconds=schedule.interval_seconds or 0)
        every = IntervalSchedule(interval=interval, timezone=schedule.timezone)
    return DeploymentScheduleCreate(
        schedule=every, parameters={"trigger": "scheduler"}, slug="heartbeat"
    )


async def register_sweep() -> None:
    """For clusters: on one machine the preview host keeps its own in order. One sweep at a time is enough."""
    deployment = await sweep.ato_deployment(
        name="previews",
        description="Previews in the ledger against previews in the cluster, both ways.",
        schedules=[
            DeploymentScheduleCreate(schedule=IntervalSchedule(interval=SWEEP_EVERY), slug="sweep")
        ],
        concurrency_limit=ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
        ),
        tags=["x1"],
        work_pool_name=PREVIEWS,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    await deployment.aapply()


def register_product() -> int:
    """What prefect.yaml declares, as `prefect deploy --all` does it. Returns that command's exit code."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    return subprocess.run(command, cwd=PROJECT, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.register", description=__doc__)
    kinds = parser.add_subparsers(dest="what", required=True)
    kinds.add_parser("product", help="the flows that prefect.yaml declares")
    kinds.add_parser("sweep", help="the schedule that keeps a cluster's previews in order")
    agents = kinds.add_parser("agents", help="agent files")
    agents.add_argument("--keep-blocks", action="store_true", help="deployments only")
    agents.add_argument("files", nargs="+", type=Path)
    asked = parser.parse_args()
    if asked.what == "product":
        return register_product()
    if asked.what == "sweep":
        asyncio.run(register_sweep())
        return 0
    found = [_read(path) for path in asked.files]
    asyncio.run(register_agents(found, keeps_blocks=asked.keep_blocks))
    return 0


def _read(path: Path) -> Agent:
    return parse_agent(path.read_text(), str(path), lambda name: (path.parent / name).read_text())


if __name__ == "__main__":
    raise SystemExit(main())
