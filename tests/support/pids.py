"""What became of a process."""

import psutil


def is_gone(pid: int) -> bool:
    """A zombie is gone too: whoever adopted it has not collected it yet, and may be this very process."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
