"""This process as nobody else of its node may see it: no core dump, no memory for whoever has its uid.

prctl(2): a process that is not dumpable can be attached to, and its /proc files read, by root alone.
"""

import ctypes
import os
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def make_unreadable() -> None:
    """On Linux; other systems run no pods. Raises OSError."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
