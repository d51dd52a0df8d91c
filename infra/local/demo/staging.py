"""A demo on one machine: a stack of its own, the arc on it, and then everything stops."""

import asyncio
import shlex
import shutil
import signal
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from infra.local import lock
from infra.local.cli import starting, stopping
from infra.local.demo.example import Example, example_of
from infra.local.demo.node import bring_node
from infra.local.demo.screen import Screen
from infra.local.demo.telling import tell
from infra.local.errors import WrongUsage
from infra.local.state import StateDir


def play(app: str, state_dir: Path | None, *, is_kept: bool) -> int:
    """Raises LocalError. Ctrl-C, a failure and a good end all leave nothing running, unless `is_kept`."""
    example = _example(app)
    if example.needs_node:
        bring_node()
    is_fresh = state_dir is None
    state = StateDir(root=state_dir or Path(tempfile.mkdtemp(prefix="x1-demo-")))
    screen = Screen()
    has_failed = False
    try:
        with told_to_stop(), _stack(state, screen, is_kept=is_kept):
            asyncio.run(tell(state, example, screen))
    except Exception:
        has_failed = True
        screen.failure(state.root)
        raise
    finally:
        if is_fresh and not has_failed and not is_kept:
            shutil.rmtree(state.root, ignore_errors=True)
    return 0


def _example(app: str) -> Example:
    try:
        return example_of(app)
    except KeyError as error:
        raise WrongUsage(
            expected="--app python or astro", came=f"no example of {app!r}", then="x1 demo"
        ) from error


@contextmanager
def told_to_stop() -> Generator[None]:
    """SIGTERM is a Ctrl-C here: both end the demo by taking down what it started."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _stack(state: StateDir, screen: Screen, *, is_kept: bool) -> Generator[None]:
    """Up for as long as the context is open; one that was up before stays up."""
    was_up = lock.holder(state) is not None
    screen.heading("The stack", f"state in {state.root}")
    try:
        starting.in_background(state, [])
        yield
    finally:
        if is_kept and lock.holder(state) is not None:
            told = f"--state-dir {shlex.quote(str(state.root))}"
            screen.line(f"The stack stays up: x1 status {told}, later x1 down {told}")
        elif not was_up:
            _stop(state)


def _stop(state: StateDir) -> None:
    """A second Ctrl-C does not leave half a stack behind."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stopping.stop(state)
    finally:
        signal.signal(signal.SIGINT, before)
