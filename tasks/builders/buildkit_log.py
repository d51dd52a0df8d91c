"""BuildKit's plain progress, read for what a reader of a failure asks: which step, and its last words.

A vertex is told as `#7 [2/3] RUN make`, its output as `#7 0.512 …`, its failure as `#7 ERROR: …`. What a step
writes always stands behind the time, so no step can pass for another one's failure.

What asks a registry is told from the repository's own steps: one that is away is not the revision's fault.
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import Final

TAIL: Final = 50
MAX_LINE: Final = 2000
MAX_VERTICES: Final = 2000
MAX_SHOWN_BYTES: Final = 8 << 20
_NAMED: Final = re.compile(r"^#(\d+) ((?:\[|exporting to image|resolve image config for ).*)$")
_FAILED: Final = re.compile(r"^#(\d+) ERROR: (.*)$")
_POSITION: Final = re.compile(r"^(\[[^\]]{1,100}\])(?: ([A-Z]{2,20})\b)?")
_ASKED: Final = (
    (
        re.compile(r"^(\[internal\] load metadata for |resolve image config for )"),
        "find a base image",
    ),
    (re.compile(r"^\[[^\]]*\d+/\d+\] FROM "), "pull a base image"),
    (re.compile(r"^exporting to image"), "push the image"),
    (re.compile(r"^\[auth\] "), "log in"),
)
"""Vertices that ask a registry, and what for."""
_ANSWERED: Final = re.compile(
    r"(: not found|pull access denied|insufficient_scope|not a valid|invalid reference)"
)
"""A registry that is there says so of an image that is not, or is not ours: the Dockerfile's to mend."""
_GONE: Final = re.compile(r"^error: .*\brpc error: code = Unavailable\b")
"""buildctl's, when the connection to buildkitd broke."""


class BuildLog:
    """`tail` are the last lines, the failing step's name before them when BuildKit said one."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._failed: str | None = None
        self._failure = ""
        self._is_builder_gone = False
        self._last: deque[str] = deque(maxlen=TAIL)
        self._shown_bytes = 0

    def hear(self, line: str) -> str | None:
        """Keeps what is worth it; returns the line as it may be shown, None once enough was."""
        shown = line[:MAX_LINE].replace("\0", "").rstrip()
        self._last.append(shown)
        if (named := _NAMED.match(shown)) and len(self._names) < MAX_VERTICES:
            self._names.setdefault(named[1], named[2])
        elif (failed := _FAILED.match(shown)) and self._failed is None:
            self._failed = self._names.get(failed[1])
            self._failure = failed[2] if self._failed else ""
        elif _GONE.match(shown):
            self._is_builder_gone = True
        return self._bounded(shown)

    @property
    def failing_step(self) -> str:
        """Position and instruction alone, as `[2/3] RUN`; the rest is the repository's own text. Else empty."""
        position = _POSITION.match(self._failed or "")
        return " ".join(filter(None, position.groups())) if position else ""

    @property
    def asked_in_vain(self) -> str:
        """What a registry was asked for when the build failed, without an answer that lays it to the Dockerfile.

        Else empty. The registry is away, busy, or refuses for now.
        """
        if _ANSWERED.search(self._failure):
            return ""
        failed = self._failed or ""
        return next((what for pattern, what in _ASKED if pattern.match(failed)), "")

    @property
    def is_builder_gone(self) -> bool:
        return self._failed is None and self._is_builder_gone

    @property
    def tail(self) -> Sequence[str]:
        if self._failed is None:
            return tuple(self._last)
        return (f"> {self._failed}", *list(self._last)[1 - TAIL :])

    def _bounded(self, shown: str) -> str | None:
        if self._shown_bytes > MAX_SHOWN_BYTES:
            return None
        self._shown_bytes += len(shown) + 1
        if self._shown_bytes > MAX_SHOWN_BYTES:
            return f"(more than {MAX_SHOWN_BYTES >> 20} MiB: the rest is not shown)"
        return shown
