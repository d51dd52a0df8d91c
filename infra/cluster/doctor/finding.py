"""One thing that was looked at, and what to do when it is not as it must be."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works as it is, and protects less than it could."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It could not be looked at; nothing is said about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    name: str
    level: Level
    expected: str
    came: str
    remedy: str = ""


def ok(name: str, expected: str, came: str) -> Finding:
    return Finding(name=name, level=Level.OK, expected=expected, came=came)


def warned(name: str, expected: str, came: str, remedy: str) -> Finding:
    return Finding(name=name, level=Level.WARNING, expected=expected, came=came, remedy=remedy)


def failed(name: str, expected: str, came: str, remedy: str) -> Finding:
    return Finding(name=name, level=Level.FAILED, expected=expected, came=came, remedy=remedy)


def unknown(name: str, expected: str, came: str, remedy: str = "") -> Finding:
    return Finding(name=name, level=Level.UNKNOWN, expected=expected, came=came, remedy=remedy)
