"""Who may do what at the forge: the App by its JWT, installations by narrowed tokens, people by the admin token.

Tokens are kept by digest in one file, so that a restart forgets none and the file gives none away.
"""

import hashlib
import hmac
import json
import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt

LIFETIME = timedelta(hours=1)
LEEWAY_SECONDS = 60
MAX_JWT_SECONDS = 600 + LEEWAY_SECONDS
ACCESS = {"read": 1, "write": 2}
_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`repositories` are full names. `contents` and the other permissions are `read` or `write`."""

    repositories: tuple[str, ...]
    permissions: dict[str, str]
    expires_at: str

    def allows(self, repository: str, access: str, kind: str = "contents") -> bool:
        if repository not in self.repositories:
            return False
        return ACCESS.get(self.permissions.get(kind, ""), 0) >= ACCESS[access]

    @property
    def is_expired(self) -> bool:
        return datetime.fromisoformat(self.expires_at) <= datetime.now(UTC)


class Tokens:
    def __init__(self, file: Path, *, app_id: str, app_public_key: str, admin_token: str) -> None:
        """`app_public_key` is PEM, several keys while one is replaced, as at GitHub.

        Raises ValueError for an empty admin token: a request without a token would be the admin's.
        """
        if not admin_token:
            raise ValueError("the admin token is empty")
        self._file = file
        self._app_id = app_id
        self._app_public_keys = _KEY.findall(app_public_key)
        self._admin = admin_token
        kept = json.loads(file.read_text()) if file.exists() else {}
        self._tokens = {digest: _token(fields) for digest, fields in kept.items()}

    def is_admin(self, presented: str) -> bool:
        return hmac.compare_digest(presented.encode(), self._admin.encode())

    def is_app(self, presented: str) -> bool:
        """An RS256 JWT of the App's by any of its keys, not older than GitHub would take."""
        found = (_proven(presented, key) for key in self._app_public_keys)
        claims = next((each for each in found if each is not None), None)
        if claims is None:
            return False
        lifetime = int(claims["exp"]) - int(claims["iat"])
        return str(claims["iss"]) == self._app_id and lifetime <= MAX_JWT_SECONDS

    def mint(self, repositories: tuple[str, ...], permissions: dict[str, str]) -> tuple[str, Token]:
        text = f"ghs_{self._app_id}_{secrets.token_urlsafe(48)}"
        expires = (datetime.now(UTC) + LIFETIME).replace(microsecond=0)
        token = Token(
            repositories=repositories, permissions=permissions, expires_at=expires.isoformat()
        )
        self._tokens = {key: each for key, each in self._tokens.items() if not each.is_expired}
        self._tokens[_digest(text)] = token
        self._save()
        return text, token

    def find(self, presented: str) -> Token | None:
        token = self._tokens.get(_digest(presented))
        return None if token is None or token.is_expired else token

    def _save(self) -> None:
        draft = self._file.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps({key: asdict(each) for key, each in self._tokens.items()}))
        draft.replace(self._file)


def _token(fields: dict[str, object]) -> Token:
    repositories, permissions = fields["repositories"], fields["permissions"]
    assert isinstance(repositories, list)
    assert isinstance(permissions, dict)
    return Token(
        repositories=tuple(repositories),
        permissions=permissions,
        expires_at=str(fields["expires_at"]),
    )


def _proven(presented: str, key: str) -> dict[str, Any] | None:
    try:
        return jwt.decode(
            presented,
            key,
            algorithms=["RS256"],
            leeway=LEEWAY_SECONDS,
            options={"require": ["iat", "exp", "iss"]},
        )
    except jwt.PyJWTError:
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
