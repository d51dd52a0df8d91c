"""What a conversation keeps on disk: variables, and how far its turn has come.

Written whole after every step, so that `kill -9` costs at most the step that was under way; that step is
done again, and its tools are called with the same idempotency keys.
"""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_SESSION: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(slots=True, kw_only=True)
class Turn:
    """`done` says for each place in the script what was decided or done there."""

    identity: str
    done: dict[str, Any] = field(default_factory=dict[str, Any])


class State:
    """Of one conversation. `ended` is the last finished turn: its identity, and its `end` if it had one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.digest = ""
        self.variables: dict[str, Any] = {}
        self.turn: Turn | None = None
        self.ended: dict[str, Any] = {}

    @classmethod
    def load(cls, file: Path) -> "State | None":
        """None when there is none, or none that can be read."""
        try:
            kept = json.loads(file.read_text())
            state = cls(file)
            state.digest = str(kept["digest"])
            state.variables = dict(kept["variables"])
            state.ended = dict(kept["ended"])
            if kept["turn"] is not None:
                state.turn = Turn(identity=kept["turn"]["identity"], done=kept["turn"]["done"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return state

    def save(self) -> None:
        turn = self.turn and {"identity": self.turn.identity, "done": self.turn.done}
        kept = {
            "digest": self.digest,
            "variables": self.variables,
            "turn": turn,
            "ended": self.ended,
        }
        temporary = self._file.with_suffix(".tmp")
        with temporary.open("w") as file:
            json.dump(kept, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._file)

    def begin(self, identity: str, digest: str) -> Turn:
        """The turn of this prompt: the one that was cut short, or a new one."""
        if self.turn is None or self.turn.identity != identity or self.digest != digest:
            self.turn = Turn(identity=identity)
            self.digest = digest
            self.save()
        return self.turn

    def finish(self, end: dict[str, Any] | None) -> None:
        assert self.turn is not None
        self.ended = {"identity": self.turn.identity, "end": end}
        self.turn = None
        self.save()


def files_of(folder: Path, session_id: str) -> tuple[Path, Path] | None:
    """State and transcript of a conversation; None for an id that is none."""
    if not _SESSION.fullmatch(session_id):
        return None
    return folder / f"{session_id}.json", folder / f"{session_id}.jsonl"
