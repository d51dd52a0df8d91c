"""Asking for stamps: what is asked, and whether an answer is one. sidecar.domain.stamp says what they prove."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sidecar.domain.stamp import PLACE, is_stamped


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One stamp, to be asked for once."""

    keys: Sequence[str]
    host: str
    revision: str
    nonce: str

    @property
    def path(self) -> str:
        return f"{PLACE}{self.revision}?nonce={self.nonce}"

    def is_in(self, body: bytes) -> bool:
        text = body.decode("ascii", "replace")
        return is_stamped(text, self.keys, host=self.host, revision=self.revision, nonce=self.nonce)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """`keys_file` has a key a line, as the stamp service's has."""

    keys_file: Path

    def wanted(self, url: str, revision: str) -> Wanted:
        """Read at each use: the kubelet replaces the file when keys are rotated."""
        return Wanted(
            keys=self.keys_file.read_text().split(),
            host=urlsplit(url).hostname or "",
            revision=revision,
            nonce=secrets.token_urlsafe(16),
        )
