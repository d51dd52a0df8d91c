"""The key that signs session tokens, replaced in two steps, so that every relay takes what every other one signs.

First all relays believe the new key, then it signs; the old one is believed until the last token that it signed
has run out. An interruption is gone on with: the new key is kept in the whole until it signs.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from infra.cluster.rotation.ground import Ground
from sidecar.domain.lease import TOKEN_LIFETIME
from sidecar.relay.keyring import BelievedKey, Keyring, kid_of

NAME: Final = "session-key.pem"
NEXT: Final = "session-key-next.pem"
ROLLOUT: Final = timedelta(minutes=10)
"""As long as the relays may take to be replaced, the old ones sign with the old key."""


def rotate(ground: Ground) -> None:
    whole = ground.whole
    old, new = Keyring.of(whole[NAME].encode()), whole.get(NEXT) or _new()
    successor = _private(new)
    if old.kid != Keyring.of(new.encode()).kid:
        told = _ring(old.private, (*old.believed[1:], _believed(successor.public_key())))
        ground.put({NEXT: new, NAME: told})
        ground.restart("relay")
        retired = _believed(old.private.public_key(), datetime.now(UTC) + TOKEN_LIFETIME + ROLLOUT)
        ground.put({NAME: _ring(successor, (*_still(old, successor), retired))})
    ground.restart("relay")
    ground.put({NEXT: None})


def _still(old: Keyring, successor: Ed25519PrivateKey) -> list[BelievedKey]:
    """Predecessors of the predecessor whose time is not over."""
    now, own = datetime.now(UTC), _believed(successor.public_key())
    return [
        each
        for each in old.believed[1:]
        if each.accepted_until is not None and each.is_accepted(now) and each.kid != own.kid
    ]


def _ring(private: Ed25519PrivateKey, believed: tuple[BelievedKey, ...]) -> str:
    signing = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    blocks = {each.kid: _block(each) for each in believed}
    return signing + "".join(blocks.values())


def _block(key: BelievedKey) -> str:
    until = f"accepted-until: {key.accepted_until.isoformat()}\n" if key.accepted_until else ""
    pem = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return until + pem


def _believed(public: Ed25519PublicKey, until: datetime | None = None) -> BelievedKey:
    return BelievedKey(kid=kid_of(public), public=public, accepted_until=until)


def _new() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _private(pem: str) -> Ed25519PrivateKey:
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key
