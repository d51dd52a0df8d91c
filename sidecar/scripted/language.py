"""The language's table: which fields each verb has, and what may stand in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sidecar.scripted.script import Verb


class Kind(StrEnum):
    """What may stand in a field, in a reader's words."""

    TEXT = "a text"
    VERBATIM = "a text, taken as it stands"
    VALUE = "a value"
    MAPPING = "a mapping"
    EXPRESSION = "an expression"
    SECONDS = "seconds, more than 0 and at most 3600"
    COUNT = "a whole number from 1 to 1000"
    NAME = "a name (letters, digits and underscores)"
    TOOL = "a tool's name"
    FORMAT = "text, json or yaml"
    FLAG = "true or false"
    NOTHING = "nothing, or a text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """`main` is what stands behind the verb itself."""

    main: Kind
    needs: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    may: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    needs_blocks: tuple[str, ...] = ()
    may_blocks: tuple[str, ...] = ()


_RESCUE: Final = ("rescue",)

SHAPES: Final[Mapping[Verb, Shape]] = {
    Verb.SAY: Shape(main=Kind.TEXT),
    Verb.THINK: Shape(main=Kind.TEXT),
    Verb.PLAN: Shape(main=Kind.VALUE),
    Verb.RUN: Shape(
        main=Kind.TEXT,
        may={
            "in": Kind.TEXT,
            "as": Kind.NAME,
            "check": Kind.FLAG,
            "timeout": Kind.SECONDS,
            "env": Kind.MAPPING,
        },
        may_blocks=_RESCUE,
    ),
    Verb.CALL: Shape(
        main=Kind.TOOL,
        may={"with": Kind.MAPPING, "as": Kind.NAME, "timeout": Kind.SECONDS},
        may_blocks=_RESCUE,
    ),
    Verb.READ: Shape(
        main=Kind.TEXT,
        needs={"as": Kind.NAME},
        may={"in": Kind.TEXT, "format": Kind.FORMAT},
        may_blocks=_RESCUE,
    ),
    Verb.WRITE: Shape(
        main=Kind.TEXT,
        may={
            "in": Kind.TEXT,
            "content": Kind.TEXT,
            "verbatim": Kind.VERBATIM,
            "executable": Kind.FLAG,
        },
        may_blocks=_RESCUE,
    ),
    Verb.EDIT: Shape(
        main=Kind.TEXT,
        needs={"find": Kind.TEXT, "replace": Kind.TEXT},
        may={"in": Kind.TEXT},
        may_blocks=_RESCUE,
    ),
    Verb.SET: Shape(main=Kind.MAPPING),
    Verb.WAIT: Shape(main=Kind.SECONDS),
    Verb.IF: Shape(main=Kind.EXPRESSION, needs_blocks=("then",), may_blocks=("else",)),
    Verb.FOR: Shape(main=Kind.NAME, needs={"in": Kind.EXPRESSION}, needs_blocks=("do",)),
    Verb.WHILE: Shape(main=Kind.EXPRESSION, may={"at_most": Kind.COUNT}, needs_blocks=("do",)),
    Verb.PLAY: Shape(main=Kind.NAME),
    Verb.DONE: Shape(main=Kind.NOTHING),
    Verb.END: Shape(main=Kind.TEXT, may={"outcome": Kind.TEXT}),
    Verb.FAIL: Shape(main=Kind.TEXT),
}

TAKEN: Final = ("wake", "error", "workspace", "repos", "today")
"""Names that the player sets; a script may read them."""
