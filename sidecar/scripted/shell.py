"""Commands: `/bin/sh -e -c` in the working tree, output told as it comes, ended with all they started."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar import subprocesses
from sidecar.scripted.errors import StepFailed

MAX_KEPT: Final = 256 * 1024
LAST_WORDS_SECONDS: Final = 1.0
"""What a command started in the background may hold its pipes open for ever."""
PROGRESS_SECONDS: Final = 0.3
OWN: Final = ("X1_SCRIPT", "X1_SCRIPT_STATE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    exit_code: int
    output: str
    errors: str

    def as_names(self) -> dict[str, object]:
        return {
            "ok": self.exit_code == 0,
            "exit_code": self.exit_code,
            "output": self.output.strip(),
            "errors": self.errors.strip(),
        }


class _Gathered:
    """Both streams: each on its own for the script, and in the order of arrival for the reader."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told_at = 0.0
        self.both = ""

    async def take(self, stream: asyncio.StreamReader, into: bytearray) -> None:
        while chunk := await stream.read(16 * 1024):
            into += chunk[: max(0, MAX_KEPT - len(into))]
            self.both = (self.both + chunk.decode(errors="replace"))[-MAX_KEPT:]
            if time.monotonic() - self._told_at > PROGRESS_SECONDS:
                self._told_at = time.monotonic()
                self._tell(self.both)


async def run(
    command: str,
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    tell: Callable[[str], None],
) -> tuple[Ran, str]:
    """The outcome, and both streams as they came. Raises StepFailed when it takes too long.

    The command stays in the runtime's process group: whoever ends that ends it.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in OWN}
    process = await subprocesses.start(
        *("/bin/sh", "-e", "-c", command),
        cwd=cwd,
        env={**inherited, **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        end=_end,
    )
    gathered, out, complaints = _Gathered(tell), bytearray(), bytearray()
    try:
        async with asyncio.timeout(timeout), asyncio.TaskGroup() as tasks:
            assert process.stdout is not None
            assert process.stderr is not None
            readers = [
                tasks.create_task(gathered.take(process.stdout, out), name="output"),
                tasks.create_task(gathered.take(process.stderr, complaints), name="errors"),
            ]
            await process.wait()
            await asyncio.wait(readers, timeout=LAST_WORDS_SECONDS)
            for reader in readers:
                reader.cancel()
    except TimeoutError as error:
        raise StepFailed(
            "timeout", f"took over {timeout:g} s; it said last: {gathered.both[-500:].strip()}"
        ) from error
    finally:
        if process.returncode is None:
            await _end(process)
    assert process.returncode is not None
    outcome = Ran(
        exit_code=process.returncode,
        output=out.decode(errors="replace"),
        errors=complaints.decode(errors="replace"),
    )
    return outcome, gathered.both


async def _end(process: asyncio.subprocess.Process) -> None:
    import psutil  # noqa: PLC0415 - only a command that must be ended needs it

    with suppress(psutil.Error):
        top = psutil.Process(process.pid)
        for each in (*top.children(recursive=True), top):
            with suppress(psutil.Error):
                each.kill()
    await process.wait()
