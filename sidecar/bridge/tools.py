"""Which programs a zone's processes find: the given directories first, then the zone's own."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def with_own_tools(environment: Mapping[str, str]) -> dict[str, str]:
    """`PATH` in `environment` goes before this process's own, which only this side knows."""
    own = os.environ.get("PATH") or os.defpath
    first = environment.get("PATH", "")
    parts = (*([first] if first else []), own, str(Path(sys.executable).parent))
    return {**environment, "PATH": os.pathsep.join(parts)}
