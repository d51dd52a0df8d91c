"""The sidecar in a pod: its memory is nobody else's, whoever has its uid."""

import subprocess
import sys

import pytest

TOLD = """
import ctypes, resource
from sidecar.pod.unreadable import make_unreadable
PR_GET_DUMPABLE = 3
libc = ctypes.CDLL(None)
before = libc.prctl(PR_GET_DUMPABLE)
make_unreadable()
print(before, libc.prctl(PR_GET_DUMPABLE), *resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pods run on Linux")
def test_it_can_neither_be_attached_to_nor_dumps_a_core():
    told = subprocess.run([sys.executable, "-c", TOLD], capture_output=True, check=True, text=True)
    assert told.stdout.split() == ["1", "0", "0", "0"]
