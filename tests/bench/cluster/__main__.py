"""`python -m tests.bench.cluster [--json FILE]`: the figures of an installation on the cluster kubectl points at.

A spawn is told stage by stage, beside a bare Job of two containers made in the same run. What stands is used; a
missing installation is an error: `x1 cluster install` first. Nothing is asserted.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from tests.bench.__main__ import say, show
from tests.bench.cluster import shipping, sizes, spawning, waking
from tests.bench.cluster.pods import Pods
from tests.bench.figure import Figure
from tests.support.clusters import SESSIONS, Cluster, connected

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cluster", description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with connected() as cluster:
        figures = measure(cluster, asked.rounds)
    show(figures)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(each) for each in figures], indent=2))
    return 0


def measure(cluster: Cluster, rounds: int) -> list[Figure]:
    for each in (HERE.parent / "agents", HERE / "agents"):
        cluster.x1("agents", "apply", str(each))
    parent = cluster.start("bench-parent", "hello")
    cluster.heard(parent, "heard")
    with Pods.watched(SESSIONS) as pods:
        say("spawns")
        figures = spawning.measure(cluster, parent, pods, rounds)
    say("wakes")
    figures += waking.measure(cluster, parent, rounds)
    say("sizes")
    figures += sizes.measure(cluster, parent)
    say("previews")
    return [*figures, shipping.measure(cluster, rounds)]


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"bench: {error}\n{error.stdout or ''}{error.stderr or ''}\n")
        raise SystemExit(1) from error
