"""A repository bound to an agent: where it is mounted and what may be pushed to it."""

import re
from dataclasses import dataclass

from sidecar.domain.ids import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """`allow_branches` are globs over branch names: `*` inside one path part, `**` across parts."""

    repo: Repository
    branch: str
    mount_path: str
    allow_push: bool = False
    allow_branches: tuple[str, ...] = ("feat/*",)
    allow_merge: bool = False
    protected_paths: tuple[str, ...] = (".github/workflows/**",)
    max_pack_bytes: int = 1 << 30


def glob_matches(pattern: str, name: str) -> bool:
    """Whether the whole of `name` matches; `*` never crosses a slash, `**` does, `?` is one character."""
    return re.fullmatch(_expression(pattern), name) is not None


def _expression(pattern: str) -> str:
    pieces = re.split(r"(\*\*|\*|\?)", pattern)
    wild = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(wild.get(piece, re.escape(piece)) for piece in pieces)
