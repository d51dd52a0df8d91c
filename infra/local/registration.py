"""Registers the product's own deployments in Prefect, when what they are made of has changed.

`prefect deploy` takes seconds; a digest of its input is kept, so that a warm start does without it.
"""

import asyncio
import hashlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from infra.local.components import prefect
from infra.local.errors import CannotStart
from infra.local.files import write_whole
from infra.local.logfiles import last_words, opened
from infra.local.stack import Stack

PROJECT = Path(__file__).resolve().parents[2]
INPUT = ("prefect.yaml", "deployments/register.py", "flows/*.py")
"""A deployment holds the schema of its flow's parameters, too."""
REGISTER_SECONDS = 120


async def register(stack: Stack) -> None:
    """Raises CannotStart when Prefect refuses, with the command's last words."""
    digest = _digest()
    kept = stack.state.run("registered")
    if kept.exists() and kept.read_text() == digest:
        return
    await run_register(stack, ["product"])
    write_whole(kept, digest)


async def run_register(stack: Stack, arguments: Sequence[str]) -> None:
    log = stack.state.log("register")
    with opened(log) as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deployments.register", *arguments),
            cwd=PROJECT,
            env={**stack.environment, **prefect.client(stack)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        async with asyncio.timeout(REGISTER_SECONDS):
            code = await process.wait()
    except (TimeoutError, asyncio.CancelledError):
        process.kill()
        await process.wait()
        raise
    if code:
        raise CannotStart("register", f"exit {code}: {last_words(log)}", log)


def _digest() -> str:
    """Also of Prefect's version: a new one may store deployments differently."""
    content = hashlib.sha256(version("prefect").encode())
    for pattern in INPUT:
        for path in sorted(PROJECT.glob(pattern)):
            content.update(path.read_bytes())
    return content.hexdigest()
