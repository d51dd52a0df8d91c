"""Bridges as real processes, for tests of what talks to them."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def bridge_at(path, *prefix, **environment):
    """Yields the process once it listens; it is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        *prefix,
        sys.executable,
        "-m",
        "sidecar",
        "bridge",
        env={"PATH": os.environ["PATH"], "X1_BRIDGE_SOCKET": str(path), **environment},
    )
    try:
        async with asyncio.timeout(60):
            while not path.exists() and process.returncode is None:
                await asyncio.sleep(0.01)
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
