"""How many processes the agent's side may have."""

import re
import sys
from pathlib import Path

import pytest
from bridges import bridge_at

from sidecar.pod.bridged import BridgedHands


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of Linux")
async def test_what_it_starts_may_fork_so_often_and_no_more(tmp_path):
    async with bridge_at(tmp_path / "b.sock", X1_BRIDGE_MAX_PROCESSES="4321") as bridge:
        hands = BridgedHands(tmp_path / "b.sock", log_dir=tmp_path)
        code = (
            "until grep -q ' 4321 ' /proc/self/limits; do sleep 0.05; done; cat /proc/self/limits"
        )
        done = await hands.run(["sh", "-c", code], cwd=tmp_path, env={}, timeout=20)
        assert re.search(r"Max processes +4321 +4321 ", done.out.decode())
        own = Path(f"/proc/{bridge.pid}/limits").read_text()
        assert not re.search(r"Max processes +4321", own)
