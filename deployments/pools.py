"""`python -m deployments.pools apply [--type kubernetes|process]`: the work pools, as this version wants them.

Creates or updates both pools and says what changed. It may be repeated: a pool that stands is left alone.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

from deployments.templates import PoolSettings, PoolType, Template, templates

MANY = 8
"""Differences are listed up to here, then counted."""


class OtherPoolType(Exception):
    """A pool of this name is of another type, which Prefect cannot change."""

    def __init__(self, pool: str, found: str, wanted: str) -> None:
        super().__init__(
            f"work pool {pool} is of type {found}, expected {wanted}. "
            f"Next: `prefect work-pool delete {pool}`, then apply again"
        )


async def apply(kind: PoolType, settings: PoolSettings | None = None) -> list[str]:
    """One line a pool. Raises OtherPoolType, and Prefect's own errors when its API refuses."""
    wanted = templates(kind, settings or PoolSettings())
    async with get_client() as client:
        return [await _apply(client, kind, pool, template) for pool, template in wanted.items()]


async def _apply(client: PrefectClient, kind: PoolType, pool: str, template: Template) -> str:
    try:
        found = await client.read_work_pool(pool)
    except ObjectNotFound:
        await client.create_work_pool(
            WorkPoolCreate(name=pool, type=kind, base_job_template=template)
        )
        return f"{pool}: created ({kind})"
    if found.type != kind:
        raise OtherPoolType(pool, found.type, kind)
    changed = list(differences(found.base_job_template, template))
    if not changed:
        return f"{pool}: unchanged"
    await client.update_work_pool(pool, WorkPoolUpdate(base_job_template=template))
    return f"{pool}: updated {_listed(changed)}"


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Where two templates differ: dotted paths, the deepest that say it."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}, key=str):
            inner = f"{path}.{key}" if path else str(key)
            if key not in old or key not in new:
                yield inner
            else:
                yield from differences(old[key], new[key], inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, f"{path}[{number}]")
    elif old != new:
        yield path


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - MANY} more" if len(paths) > MANY else ""
    return ", ".join(paths[:MANY]) + more


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.pools", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    applying = verbs.add_parser("apply", help="create or update the work pools")
    applying.add_argument("--type", choices=get_args(PoolType), default="kubernetes", dest="kind")
    asked = parser.parse_args()
    try:
        lines = asyncio.run(apply(asked.kind))
    except OtherPoolType as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
