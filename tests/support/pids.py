"""What became of a process, and which there are: any may end while it is looked at."""

import contextlib
from collections.abc import Iterator

import psutil


def is_gone(pid: int) -> bool:
    """A zombie is gone too: whoever adopted it has not collected it yet, and may be this very process."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def commands() -> Iterator[tuple[psutil.Process, list[str], str]]:
    """Every process that still has something to run, with its words and where it works.

    One without words is a kernel's, or has ended and waits to be collected.
    """
    for process in psutil.process_iter():
        words, place = [], ""
        with contextlib.suppress(psutil.Error, OSError):
            words = process.cmdline()
            place = process.cwd()
        if words:
            yield process, words, place


def working_at(place: str) -> list[str]:
    """Whoever runs in a directory, or was told of it: number and words, cut for a message."""
    return [
        f"{process.pid} {' '.join(words)[:120]}"
        for process, words, cwd in commands()
        if place in f"{' '.join(words)} {cwd}"
    ]
