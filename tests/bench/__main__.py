"""`python -m tests.bench [--json FILE]`: what x1flows is measured by, on a stack of its own.

Each figure stands beside a limit taken in the same run. Times are medians with their spread: machines differ
and are noisy, so nothing here is asserted.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import events, pod, spawning
from tests.bench.figure import Figure
from tests.bench.stack import Stack

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="x1-bench-"))
    stack = Stack(home / "s")
    try:
        figures = measure(stack, asked.rounds)
    finally:
        stack.down()
        shutil.rmtree(home, ignore_errors=True)
    show(figures)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(each) for each in figures], indent=2))
    return 0


def measure(stack: Stack, rounds: int) -> list[Figure]:
    say("a first start, then a warm one")
    stack.up()
    stack.down()
    warm = stack.up()
    figures = [
        Figure("x1 up, warm", [warm], "s", target=15),
    ]
    say("the pod service by itself")
    figures += pod.measure(stack, rounds)
    say("spawns and wakes")
    stack.x1("agents", "apply", str(HERE / "agents"))
    figures += spawning.measure(stack, rounds)
    say("events")
    figures += events.measure(stack)
    return figures


def say(what: str) -> None:
    sys.stderr.write(f"bench: {what} …\n")


def show(figures: list[Figure]) -> None:
    table = Table("figure", "median", "spread", "limit beside it", "target")
    for each in figures:
        table.add_row(
            each.name, each.median_text, each.spread_text, each.limit_text, each.target_text
        )
    Console(width=160).print(table)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"bench: {error}\n{error.stdout or ''}{error.stderr or ''}\n")
        raise SystemExit(1) from error
