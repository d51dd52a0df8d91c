"""What commands print: tables for people, JSON for programs. Untrusted text loses its control characters."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def show_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def line(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def progress(text: str) -> None:
    """What a command is doing now: never in the way of what it answers."""
    sys.stderr.write(text + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """As wide as it must be; the last column is not padded."""
    cells = [[column.upper() for column in columns]]
    cells += [[plain(value) for value in row] for row in rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        line("  ".join(padded).rstrip())


def fields(value: Mapping[str, Any]) -> None:
    width = max((len(name) for name in value), default=0)
    for name, content in value.items():
        line(f"{name.ljust(width)}  {plain(content)}")


def plain(value: Any) -> str:
    """One line of text that no terminal takes for a command."""
    if value is None or value in ([], {}):
        return "–"
    text = json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)
    return "".join(letter if letter.isprintable() else " " for letter in text)


def block(text: str) -> str:
    """Several lines, with no control character but the newline."""
    return "\n".join(plain(part) for part in text.splitlines())
