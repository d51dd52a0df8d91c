"""NATS users limited to one session, minted by the relay in operator mode.

A user JWT is signed by the account and needs no call to the server. It lets its holder publish the session's
own events and subscribe its own doorbell and inbox, and nothing else. The JWT form is NATS's own: version 2,
`ed25519-nkey` (https://docs.nats.io/running-a-nats-service/nats_admin/security/jwt).
"""

import base64
import hashlib
import json
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import nkeys
from pydantic import SecretStr

from sidecar.domain.ids import SessionId
from sidecar.wire import subjects

UNLIMITED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class BusUser:
    """What a client logs in with: the JWT names its rights, the seed proves that it is its own."""

    jwt: SecretStr
    seed: SecretStr


class BusUsers:
    """Mints users of one account. `signer` is two lines: the seed of one of its signing keys, and its id.

    One line is the account's own seed, which cannot be replaced. Raises ValueError, NkeysError.
    """

    def __init__(self, signer: str) -> None:
        seed_line, *account = signer.split()
        if len(account) > 1:
            raise ValueError("expected a seed and an account's id")
        self._signer = nkeys.from_seed(seed_line.encode())
        self._account = account[0] if account else None

    def mint(self, session_id: SessionId, lifetime: timedelta) -> BusUser:
        user = new_pair(nkeys.PREFIX_BYTE_USER)
        token = sign(
            self._signer,
            subject=public(user),
            name=session_id,
            claims=of_account(self._account, _limited_to(session_id)),
            expires_at=int(time.time() + lifetime.total_seconds()),
        )
        return BusUser(jwt=SecretStr(token), seed=SecretStr(seed(user)))


def _limited_to(session_id: SessionId) -> dict[str, Any]:
    inbox = f"{subjects.inbox_prefix(session_id)}.>"
    return {
        "type": "user",
        "pub": {"allow": [subjects.events(session_id)]},
        "sub": {"allow": [subjects.doorbell(session_id), inbox]},
        "subs": 16,
        "data": UNLIMITED,
        "payload": UNLIMITED,
    }


def of_account(account: str | None, claims: dict[str, Any]) -> dict[str, Any]:
    """A user's claims that name the account, which those must that a signing key signs."""
    return claims if account is None else {**claims, "issuer_account": account}


def new_pair(prefix: int) -> nkeys.KeyPair:
    """`prefix` is one of nkeys.PREFIX_BYTE_*."""
    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), prefix))


def public(pair: nkeys.KeyPair) -> str:
    return bytes(pair.public_key).decode()


def seed(pair: nkeys.KeyPair) -> str:
    return bytes(pair.seed or b"").decode()


def sign(
    signer: nkeys.KeyPair,
    *,
    subject: str,
    name: str,
    claims: dict[str, Any],
    expires_at: int | None = None,
) -> str:
    """A NATS JWT. `expires_at` is in Unix seconds; None never expires."""
    body: dict[str, Any] = {
        "iat": int(time.time()),
        "iss": public(signer),
        "name": name,
        "sub": subject,
        "nats": {**claims, "version": 2},
    }
    if expires_at is not None:
        body["exp"] = expires_at
    digest = hashlib.sha512(json.dumps(body).encode()).digest()[:32]
    body["jti"] = base64.b32encode(digest).decode().rstrip("=")
    signed = f"{_part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_part(body)}"
    return f"{signed}.{_encoded(signer.sign(signed.encode()))}"


def _part(value: dict[str, Any]) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
