"""What the demo prints. Agents' words are text, never markup, and lose their control characters."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.local.cli.output import plain
from infra.local.demo.happenings import Happening

COLOURS: Final = ("cyan", "magenta", "green", "yellow", "blue")
WIDTH: Final = 150


class Screen:
    def __init__(self, console: Console | None = None) -> None:
        self.console = console or _console()
        self._since = time.monotonic()
        self._colours: dict[str, str] = {}

    def heading(self, title: str, what: str) -> None:
        self._since = time.monotonic()
        self.console.print()
        self.console.print(Text.assemble((title, "bold"), ("  ", ""), (what, "dim")))

    def line(self, text: str) -> None:
        self.console.print(Text(f"  {plain(text)}"))

    def happened(self, agent: str, depth: int, happening: Happening) -> None:
        """One line: when, who, what."""
        colour = self._colours.setdefault(agent, COLOURS[len(self._colours) % len(COLOURS)])
        words = plain(happening.text)
        self.console.print(
            Text.assemble(
                (f"{time.monotonic() - self._since:6.1f}s  ", "dim"),
                (f"{'  ' * depth}{agent}  ", colour),
                (f"{happening.mark} ", happening.style),
                (words if len(words) <= WIDTH else f"{words[: WIDTH - 1]}…", happening.style),
            )
        )

    def verdict(self, text: str, *, is_good: bool) -> None:
        mark, style = ("✓", "green") if is_good else ("✗", "bold red")
        self.console.print(Text.assemble((f"  {mark} ", style), plain(text)))

    def table(self, table: Table) -> None:
        self.console.print()
        self.console.print(table)

    def links(self, links: Mapping[str, str]) -> None:
        self.console.print()
        for name, url in links.items():
            self.console.print(Text.assemble((f"  {name:<18}", "dim"), plain(url)))

    def failure(self, root: Path) -> None:
        """Where to look; what went wrong is said by the command."""
        self.console.print()
        self.console.print(Text("The demo failed.", "bold red"))
        self.console.print(Text(f"  logs in {root / 'logs'}"))


def _console() -> Console:
    """A log is as wide as a table needs; a terminal as wide as it is."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = WIDTH
    return console
