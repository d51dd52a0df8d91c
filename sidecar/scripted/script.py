"""A script as it is played: handlers, routines and steps, each with its line. Made by `reading`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sidecar.scripted.expressions import Expression, Template


class Verb(StrEnum):
    SAY = "say"
    THINK = "think"
    PLAN = "plan"
    RUN = "run"
    CALL = "call"
    READ = "read"
    WRITE = "write"
    EDIT = "edit"
    SET = "set"
    WAIT = "wait"
    IF = "if"
    FOR = "for"
    WHILE = "while"
    PLAY = "play"
    DONE = "done"
    END = "end"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`fields` are compiled by `reading`, as the verb's table there says; `blocks` are nested steps."""

    verb: Verb
    line: int
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    blocks: Mapping[str, tuple["Step", ...]] = field(default_factory=dict[str, "tuple[Step, ...]"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """Plays the wakes that fit all of its conditions; without any, every wake."""

    name: str
    line: int
    steps: tuple[Step, ...]
    kind: tuple[str, ...] = ()
    sender: str | None = None
    text: str | None = None
    matches: str | None = None
    payload: Mapping[str, Template | Any] = field(default_factory=dict[str, Any])
    condition: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """`digest` tells one script from another: a position in one means nothing in the next."""

    digest: str
    handlers: tuple[Handler, ...]
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])
    routines: Mapping[str, tuple[Step, ...]] = field(default_factory=dict[str, tuple[Step, ...]])
