"""The sidecar's own memory of a session, as it goes with a snapshot into the next activation's pod.

It is small and the sidecar's: which conversation the runtime had, and the journal's last record, which says
whether a wake that is not done yet was dealt with. It lies where no agent reaches.
"""

import json
from pathlib import Path
from typing import Any, Final

from sidecar.pod.journal import Journal

CONVERSATION: Final = "conversation.json"
BEGUN: Final = "begun"


class Notes:
    def __init__(self, own_dir: Path, journal: Journal) -> None:
        self._conversation = own_dir / CONVERSATION
        self._begun = own_dir / BEGUN
        self._journal = journal

    @property
    def is_begun(self) -> bool:
        """An activation has worked in this very place: what stands there is newer than any snapshot."""
        return self._begun.exists()

    def begin(self) -> None:
        self._begun.touch()

    def read(self) -> dict[str, Any]:
        return {"conversation": _read(self._conversation), "journal": self._journal.last()}

    def adopt(self, notes: dict[str, Any]) -> None:
        """What an earlier activation noted; of another version's notes, what is known."""
        conversation, record = notes.get("conversation"), notes.get("journal")
        if isinstance(conversation, dict):
            self._conversation.write_text(json.dumps(conversation))
        if isinstance(record, dict):
            self._journal.adopt(record)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
