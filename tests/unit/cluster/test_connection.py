"""What forwards an installation's services to this machine, while there is nothing to forward."""

import asyncio

import pytest

from infra.cluster import connection


class NobodyThere:
    """A kubectl whose every forward ends at once, and leaves a mark."""

    def __init__(self, marks):
        self._marks = marks

    def words(self, *_):
        return ("sh", "-c", f"echo >> {self._marks}; exit 1")


async def test_a_cluster_that_is_away_is_asked_ever_more_rarely(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "RESTART_SECONDS", 0.05)
    marks = tmp_path / "marks"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection._forward(NobodyThere(marks), "relay", 9), 1.5)
    begun = len(marks.read_text().splitlines())
    assert 3 <= begun <= 6, "0.05 s, 0.1 s, 0.2 s and so on lie between"
