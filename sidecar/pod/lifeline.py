"""The lifeline: a pipe that the flow holds open. Its end, or a signal, ends this process."""

import asyncio
import os
import signal
from collections.abc import Callable


def end_with(descriptor: int | None, ended: Callable[[str], None]) -> None:
    """Calls `ended` with the reason at most once a cause. Call inside the running loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended, f"signal {number.name}")
    if descriptor is not None:
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - os takes it by position
        loop.add_reader(descriptor, _readable, descriptor, ended)


def _readable(descriptor: int, ended: Callable[[str], None]) -> None:
    """Nothing is ever written to a lifeline: readable means closed, and bytes are ignored."""
    try:
        if os.read(descriptor, 4096):
            return
    except BlockingIOError:
        return
    asyncio.get_running_loop().remove_reader(descriptor)
    ended("the flow is gone")
