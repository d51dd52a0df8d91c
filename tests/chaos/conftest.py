"""Arcs that are taken down whatever became of them, with a look at what is left."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from arc import X1, Arc, Strike


@pytest.fixture
def arc() -> Iterator[Callable[..., Arc]]:
    """Short paths: a Unix socket's may be 104 characters long."""
    made: list[Arc] = []

    def begin(*strikes: Strike) -> Arc:
        home = Path(tempfile.mkdtemp(prefix="x1-arc-"))
        made.append(Arc(state_dir=home / "s", strikes=list(strikes)))
        return made[-1]

    yield begin
    for each in made:
        down = [*X1, "down", "--state-dir", str(each.state_dir)]
        subprocess.run(down, capture_output=True, check=False)
        assert each.left_over() == []
        shutil.rmtree(each.state_dir.parent, ignore_errors=True)
