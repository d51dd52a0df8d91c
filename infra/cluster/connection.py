"""An installation as `x1` sees a stack: a state directory whose services are forwarded ports of the cluster.

While a connection is open, every other `x1` command works with `--state-dir` of its directory. What it writes
there (URLs and the tokens an operator needs) is removed with it.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from infra.cluster import secrets
from infra.cluster.kubectl import Kubectl
from infra.local import lock, ports
from infra.local.errors import AskedFailed, NotThere
from infra.local.files import write_whole
from infra.local.state import StateDir
from infra.local.status import Phase, StatusBoard
from sidecar import subprocesses

USUAL: Final[Mapping[str, int]] = {"relay": 8700, "prefect": 4200, "forge": 8600}
"""The services' own ports: the relay's links name them on 127.0.0.1, so they are taken when they are free."""
ANSWERS: Final[Mapping[str, str]] = {
    "relay": "/healthz",
    "prefect": "/api/health",
    "forge": "/healthz",
}
TOKENS: Final = ("operator-token", "forge-admin-token", "prefect-auth")
PATIENCE_SECONDS: Final = 30.0
RESTART_SECONDS: Final = 0.2
MAX_RESTART_SECONDS: Final = 8.0
PROBE_SECONDS: Final = 1.0


@asynccontextmanager
async def connected(kubectl: Kubectl, state: StateDir) -> AsyncGenerator[dict[str, str]]:
    """Yields the URLs by service. Raises NotThere when nothing is installed, AskedFailed when nothing answers."""
    whole = secrets.read(kubectl, secrets.WHOLE)
    if whole is None:
        raise NotThere(
            expected="an installation", came="the cluster has none", then="x1 cluster install"
        )
    services = [each for each in USUAL if kubectl.get("service", each, secrets.SYSTEM)]
    state.create()
    with lock.held(state):
        for token in TOKENS:
            write_whole(state.secret(token), whole[token])
        chosen = _ports(state)
        urls = {each: f"http://{ports.HOST}:{chosen[each]}" for each in services}
        try:
            async with _forwarding(kubectl, {each: chosen[each] for each in services}):
                for name, url in urls.items():
                    await _await_answer(f"{url}{ANSWERS[name]}", name)
                board = StatusBoard(state, urls)
                board.phase = Phase.READY
                board.publish()
                yield urls
        finally:
            for token in TOKENS:
                state.secret(token).unlink(missing_ok=True)


@asynccontextmanager
async def _forwarding(kubectl: Kubectl, ports_of: Mapping[str, int]) -> AsyncGenerator[None]:
    """What the caller raises is raised as it is, not as a group of the forwards'."""
    raised: BaseException | None = None
    async with asyncio.TaskGroup() as forwards:
        tasks = [
            forwards.create_task(_forward(kubectl, name, port), name=name)
            for name, port in ports_of.items()
        ]
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - kept for a moment: the group would wrap it
            raised = error
        finally:
            for task in tasks:
                task.cancel()
    if raised is not None:
        raise raised


def _ports(state: StateDir) -> dict[str, int]:
    path = state.run("ports.json")
    if not path.exists():
        write_whole(path, json.dumps(dict(USUAL)))
    return ports.choose(path)[0]


async def _forward(kubectl: Kubectl, service: str, port: int) -> None:
    """Begun again whenever it ends or leads nowhere: it follows one pod, and pods come and go.

    One that never answers is begun again ever more rarely: a cluster may be away for a night.
    """
    pause = RESTART_SECONDS
    words = kubectl.words("port-forward", "-n", secrets.SYSTEM, f"service/{service}")
    while True:
        process = await subprocesses.start(
            *words,
            f"{port}:{USUAL[service]}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is this program's to answer
        )
        try:
            url = f"http://{ports.HOST}:{port}{ANSWERS[service]}"
            if await _until_dead(process, url):
                pause = RESTART_SECONDS
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()
        await asyncio.sleep(pause)
        pause = min(2 * pause, MAX_RESTART_SECONDS)


async def _until_dead(process: asyncio.subprocess.Process, url: str) -> bool:
    """A forward learns that its pod is gone when somebody asks: so this asks, now and then.

    Returns whether it ever answered.
    """
    has_answered = False
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
        while process.returncode is None:
            try:
                await http.get(url)
                has_answered = True
            except httpx.HTTPError:
                if has_answered:
                    return True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS if has_answered else 0.2):
                    await process.wait()
    return has_answered


async def _await_answer(url: str, name: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(httpx.HTTPError),
                stop=stop_after_delay(PATIENCE_SECONDS),
                wait=wait_fixed(0.2),
                reraise=True,
            ):
                with attempt:
                    (await http.get(url)).raise_for_status()
        except httpx.HTTPError as error:
            raise AskedFailed(
                expected=f"an answer of {name} within {PATIENCE_SECONDS:g} s",
                came=str(error) or type(error).__name__,
                then="x1 cluster status",
            ) from error


__all__ = ["connected"]
