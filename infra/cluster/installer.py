"""`python -m infra.cluster.installer`: the Job that an installation and an upgrade run inside the cluster.

Waits for Prefect, then registers work pools and the product's own deployments. All of it may be repeated.
"""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 300.0
COMMANDS = (
    ("deployments.pools", "apply", "--type", "kubernetes"),
    ("deployments.register", "product"),
    ("deployments.register", "sweep"),
)


@retry(
    retry=retry_if_exception_type(httpx.HTTPError),
    wait=wait_fixed(1),
    stop=stop_after_delay(PATIENCE_SECONDS),
    reraise=True,
)
async def await_prefect(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        (await client.get(f"{url}/ready")).raise_for_status()


@retry(
    retry=retry_if_exception_type(socket.gaierror),
    wait=wait_fixed(1),
    stop=stop_after_delay(PATIENCE_SECONDS),
    reraise=True,
)
async def address_of(service: str) -> str:
    """A Service's clusterIP, as the cluster's DNS tells it: this Job has no token to ask the API server with."""
    found = await asyncio.get_running_loop().getaddrinfo(service, None, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


async def main() -> int:
    _say("waiting for Prefect")
    await await_prefect(os.environ["PREFECT_API_URL"])
    environment = dict(os.environ)
    if service := os.environ.get("X1_SESSION_DNS_SERVICE"):
        environment["X1_SESSION_DNS"] = await address_of(service)
        _say(f"session pods ask {environment['X1_SESSION_DNS']} for names")
    for command in COMMANDS:
        _say(" ".join(command))
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", *command],
            cwd=PROJECT,
            env=environment,
            check=False,
        )
        if done.returncode:
            return done.returncode
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
