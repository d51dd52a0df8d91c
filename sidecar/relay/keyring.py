"""Which keys sign and prove the relay's tokens: one file, which can hold a key's successor or predecessor too.

The file is PEM. Its one PRIVATE KEY signs; each PUBLIC KEY is believed beside it. A line `accepted-until: TIME`
(ISO 8601, with its zone) before a PUBLIC KEY says when that ends. So a key is replaced in two steps, with every
relay restarted in between: first the new one is believed, then it signs and the old one is believed for a while.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

Key = TypeVar("Key")

_BLOCK: Final = re.compile(
    r"(?:^accepted-until:[ ]*(?P<until>\S+)\s+)?"
    r"(?P<pem>^-----BEGIN (?P<kind>[A-Z ]+)-----$.+?^-----END (?P=kind)-----$)",
    re.MULTILINE | re.DOTALL,
)
_KID_DIGITS: Final = 16
"""Enough to tell a handful of keys apart; it is no proof of anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BelievedKey:
    """`accepted_until` None: for as long as it is in the file."""

    kid: str
    public: Ed25519PublicKey
    accepted_until: datetime | None = None

    def is_accepted(self, now: datetime) -> bool:
        return self.accepted_until is None or now < self.accepted_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    private: Ed25519PrivateKey
    kid: str
    believed: tuple[BelievedKey, ...]
    """The signing key's own public half first."""

    @classmethod
    def of(cls, pem: bytes) -> Self:
        """Raises ValueError or TypeError unless it holds one Ed25519 private key, and such public ones."""
        blocks = list(_BLOCK.finditer(pem.decode()))
        signing = [each["pem"] for each in blocks if each["kind"] == "PRIVATE KEY"]
        if len(signing) != 1:
            raise ValueError(f"expected one PRIVATE KEY, found {len(signing)}")
        private = _of_kind(load_pem_private_key(signing[0].encode(), None), Ed25519PrivateKey)
        own = BelievedKey(kid=kid_of(private.public_key()), public=private.public_key())
        others = (_believed(each) for each in blocks if each["kind"] != "PRIVATE KEY")
        return cls(private=private, kid=own.kid, believed=(own, *others))

    def candidates(self, kid: str | None, now: datetime) -> list[Ed25519PublicKey]:
        """What may have signed a token that names `kid`; one that names none may be anybody's."""
        return [
            each.public
            for each in self.believed
            if kid in (None, each.kid) and each.is_accepted(now)
        ]


def kid_of(public: Ed25519PublicKey) -> str:
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:_KID_DIGITS]


def _believed(block: re.Match[str]) -> BelievedKey:
    public = _of_kind(load_pem_public_key(block["pem"].encode()), Ed25519PublicKey)
    until = datetime.fromisoformat(block["until"]) if block["until"] else None
    if until is not None and until.tzinfo is None:
        raise ValueError(f"accepted-until needs a time zone: {block['until']}")
    return BelievedKey(kid=kid_of(public), public=public, accepted_until=until)


def _of_kind(key: object, kind: type[Key]) -> Key:
    if not isinstance(key, kind):
        raise TypeError(f"the session key must be an Ed25519 key, not {type(key).__name__}")
    return key
