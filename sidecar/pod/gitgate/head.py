"""The head of a push, read strictly: which refs it would move, before any of its pack is looked at.

What is forwarded is written anew from what was understood, never the client's own bytes. Format:
https://git-scm.com/docs/pack-protocol#_reference_update_request_and_packfile_transfer
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sidecar.domain.names import is_valid_ref

MAX_HEAD_BYTES: Final = 256 * 1024
MAX_UPDATES: Final = 64
LENGTH: Final = re.compile(rb"[0-9a-fA-F]{4}")
FLUSH: Final = b"0000"
ZERO: Final = "0" * 40
UPDATE: Final = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) (\S.*)")
CAPABILITIES: Final = frozenset(
    {"report-status", "report-status-v2", "side-band-64k", "quiet", "atomic", "ofs-delta"}
)
"""Passed on when the client has them. `push-cert` and `push-options` would carry what is not read here."""
VALUED: Final = ("agent=", "object-format=", "session-id=")
HEADER_DIGITS: Final = 4
MAX_LINE: Final = 65520


class Malformed(ValueError):
    """Not a push head, or one that tries what an honest git does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    ref: str
    old: str
    new: str

    @property
    def deletes(self) -> bool:
        return set(self.new) == {"0"}

    @property
    def creates(self) -> bool:
        return set(self.old) == {"0"}

    def as_json(self) -> dict[str, str]:
        return {"ref": self.ref, "old": self.old, "new": self.new}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    updates: tuple[Update, ...]
    capabilities: tuple[str, ...]
    shallow: tuple[str, ...] = ()

    def encode(self) -> bytes:
        lines = [f"shallow {commit}" for commit in self.shallow]
        for number, update in enumerate(self.updates):
            text = f"{update.old} {update.new} {update.ref}"
            lines.append(f"{text}\0 {' '.join(self.capabilities)}" if number == 0 else text)
        return b"".join(packet(line.encode()) for line in lines) + FLUSH


def packet(content: bytes) -> bytes:
    return f"{len(content) + HEADER_DIGITS:04x}".encode() + content


class HeadReader:
    """Fed with what arrives; `feed` returns the head once it is whole. `rest` is then the pack's beginning."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lines: list[bytes] = []
        self._seen = 0

    @property
    def rest(self) -> bytes:
        return bytes(self._buffer)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the sender understands, as far as it was read: a refusal needs it before there is a head."""
        with suppress(Malformed):
            return parse(self._lines[:1]).capabilities
        return ()

    def feed(self, chunk: bytes) -> Head | None:
        """Raises Malformed."""
        self._buffer += chunk
        while len(self._buffer) >= HEADER_DIGITS:
            prefix = bytes(self._buffer[:HEADER_DIGITS])
            if not LENGTH.fullmatch(prefix):
                raise Malformed("a packet without a length")
            length = int(prefix, 16)
            if length == 0:
                del self._buffer[:HEADER_DIGITS]
                return parse(self._lines)
            if length <= HEADER_DIGITS or length > MAX_LINE:
                raise Malformed(f"a packet of length {length}")
            if len(self._buffer) < length:
                break
            self._take(length)
        if self._seen + len(self._buffer) > MAX_HEAD_BYTES:
            raise Malformed("the list of refs is too long")
        return None

    def _take(self, length: int) -> None:
        self._seen += length
        self._lines.append(bytes(self._buffer[HEADER_DIGITS:length]))
        del self._buffer[:length]
        if len(self._lines) > 2 * MAX_UPDATES:
            raise Malformed(f"more than {MAX_UPDATES} refs at once")


def parse(lines: Sequence[bytes]) -> Head:
    """Raises Malformed. No lines at all are git's probe before a long push: a head without updates."""
    updates: list[Update] = []
    shallow: list[str] = []
    capabilities: tuple[str, ...] = ()
    for line in lines:
        text, separator, after = _decoded(line).partition("\0")
        if separator:
            if updates:
                raise Malformed("capabilities after the first ref")
            capabilities = _known(after)
        text = text.removesuffix("\n")
        if text.startswith("shallow "):
            shallow.append(_object(text.removeprefix("shallow ")))
            continue
        updates.append(_update(text))
    if len(updates) > MAX_UPDATES:
        raise Malformed(f"more than {MAX_UPDATES} refs at once")
    if len({update.ref for update in updates}) != len(updates):
        raise Malformed("one ref twice")
    return Head(updates=tuple(updates), capabilities=capabilities, shallow=tuple(shallow))


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise Malformed("a ref that is not UTF-8") from error


def _update(text: str) -> Update:
    found = UPDATE.fullmatch(text)
    if found is None:
        raise Malformed("a line that is neither a ref's update nor `shallow`")
    old, new, ref = found.groups()
    if not is_valid_ref(ref):
        raise Malformed(f"{ref[:80]!r} is not a ref's name")
    return Update(ref=ref, old=old, new=new)


def _object(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text):
        raise Malformed("`shallow` without a commit id")
    return text


def _known(text: str) -> tuple[str, ...]:
    offered = text.replace("\n", " ").split()
    if any(each.startswith("push-cert") for each in offered):
        raise Malformed("signed pushes are not passed on")
    return tuple(
        each
        for each in offered
        if each in CAPABILITIES or (each.startswith(VALUED) and each.isprintable())
    )
