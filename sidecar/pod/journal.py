"""The journal: what this session's turns came to, on disk before anybody acts on it.

One JSON record a line, appended and fsynced, in the session's state directory, which outlives
activations. It answers one question after a crash: was this wake prompted, and did its turn end? A torn
last line is what a crash leaves; it is ignored, as what it would have recorded was not acted on yet.
"""

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedTurn:
    turn: int
    stop_reason: str


@dataclass(slots=True, kw_only=True)
class Past:
    """`prompted` is the last turn's wakes if it never ended; `ending` what `end_session` said in an ended one."""

    ended: dict[str, EndedTurn] = field(default_factory=dict[str, EndedTurn])
    prompted: tuple[str, ...] = ()
    ending: dict[str, Any] | None = None
    seen: set[str] = field(default_factory=set[str])


class Journal:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Past:
        past = Past()
        if self._path.exists():
            for line in self._path.read_bytes().splitlines():
                self._learn(past, line)
        return past

    def last(self) -> dict[str, Any] | None:
        """The newest record, for a place where this file is not."""
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        for line in reversed(lines):
            past = Past()
            self._learn(past, line)
            if past.seen:
                return json.loads(line)
        return None

    def adopt(self, record: dict[str, Any]) -> None:
        """What `last` said elsewhere."""
        _append_synced(self._path, _line(record))

    async def prompted(self, turn: int, wake_ids: tuple[str, ...]) -> None:
        await self._append({"what": "prompted", "turn": turn, "wake_ids": list(wake_ids)})

    async def ended(
        self,
        turn: int,
        wake_ids: tuple[str, ...],
        stop_reason: str,
        ending: dict[str, Any] | None = None,
    ) -> None:
        """`ending` is what the agent's `end_session` said in this turn."""
        record = {"turn": turn, "wake_ids": list(wake_ids), "stop_reason": stop_reason}
        await self._append({"what": "ended", **record, "ending": ending})

    async def _append(self, record: dict[str, Any]) -> None:
        await asyncio.to_thread(_append_synced, self._path, _line(record))

    @staticmethod
    def _learn(past: Past, line: bytes) -> None:
        try:
            record = json.loads(line)
            wake_ids = tuple(str(each) for each in record["wake_ids"])
            turn = int(record["turn"])
        except (ValueError, KeyError, TypeError):
            return
        past.seen.update(wake_ids)
        if record.get("what") == "prompted":
            past.prompted = wake_ids
        elif record.get("what") == "ended":
            past.prompted = ()
            end = EndedTurn(turn=turn, stop_reason=str(record.get("stop_reason")))
            past.ended.update(dict.fromkeys(wake_ids, end))
            past.ending = record.get("ending")


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def _append_synced(path: Path, line: bytes) -> None:
    """A torn line of an earlier crash is closed off first, so that this record stands alone."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
