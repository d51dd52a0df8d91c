"""The stack's secrets: made once, readable by this user alone, one file each, never in an argument.

On one machine they keep out other users, not the agents: one uid can read them all (`x1 doctor` says so).
"""

import base64
import os
import secrets
from collections.abc import Callable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from infra.local.files import write_whole
from infra.local.ports import HOST
from infra.local.state import StateDir

FORGE_KEY_BITS = 2048
"""What GitHub gives an App."""
NAMED = "named"
"""The directory of secrets that agents may ask about by name: `secrets/named/<NAME>`."""


def generate(state: StateDir) -> None:
    """Writes what is missing; what stands stays."""
    made: dict[str, Callable[[], str]] = {
        "prefect-auth": lambda: f"x1:{new_token()}",
        "prefect-encryption-key": lambda: base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "operator-token": new_token,
        "activation-token": new_token,
        "forge-admin-token": new_token,
        "postgres-password": new_token,
        "session-key.pem": lambda: _pem(ed25519.Ed25519PrivateKey.generate()),
        "forge-key.pem": _new_forge_private_key,
    }
    for name, make in made.items():
        _once(state, name, make)
    _once(state, "forge-public.pem", lambda: _public_half(read(state, "forge-key.pem")))
    write_whole(state.secret("pgpass"), f"{HOST}:*:*:*:{read(state, 'postgres-password')}\n")
    state.secret(NAMED).mkdir(mode=0o700, exist_ok=True)


def read(state: StateDir, name: str) -> str:
    return state.secret(name).read_text().strip()


def new_token() -> str:
    """256 random bits, in letters that need no escaping anywhere."""
    return secrets.token_urlsafe(32)


def new_forge_key() -> tuple[str, str]:
    """Private and public half, PEM."""
    private = _new_forge_private_key()
    return private, _public_half(private)


def _once(state: StateDir, name: str, make: Callable[[], str]) -> None:
    if not state.secret(name).exists():
        write_whole(state.secret(name), make())


def _new_forge_private_key() -> str:
    return _pem(rsa.generate_private_key(public_exponent=65537, key_size=FORGE_KEY_BITS))


def _pem(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _public_half(private: str) -> str:
    key = serialization.load_pem_private_key(private.encode(), None)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()
