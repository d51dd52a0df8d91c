"""Logins that the relay mints, and registry tokens that it gives for them.

Both are JWTs signed by the registry's key (ES256) and neither passes for the other: a login has an audience that
no registry takes. The registry knows the key by its certificate, which each of its tokens carries (`x5c`).
https://distribution.github.io/distribution/spec/auth/jwt/
"""

import base64
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from pydantic import SecretStr

from sidecar.domain.errors import Unauthenticated
from sidecar.domain.image_name import image_repository
from sidecar.relay.registry.scopes import PULL, PUSH, Reach, Scope

ALGORITHM: Final = "ES256"
ISSUER: Final = "x1-relay"
SERVICE: Final = "x1-registry"
LOGIN: Final = "x1-registry-login"
PUSH_LIFETIME: Final = timedelta(hours=1)
PULL_LIFETIME: Final = timedelta(days=30)
"""A preview's pod may be moved to a node that has not its image yet, long after it was deployed."""
TOKEN_LIFETIME: Final = timedelta(minutes=5)
SKEW: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryToken:
    secret: SecretStr
    issued_at: datetime
    lifetime: timedelta


class RegistryTokens:
    """`private_key` is an EC P-256 key, `certificate` the one the registry trusts, both PEM.

    Raises TypeError or ValueError for keys of another kind, and when the certificate is not the key's.
    """

    def __init__(
        self,
        private_key: bytes,
        certificate: bytes,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        key = load_pem_private_key(private_key, password=None)
        if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
            raise TypeError(f"the registry's key must be an EC P-256 key, not {type(key).__name__}")
        trusted = load_pem_x509_certificate(certificate)
        if trusted.public_key() != key.public_key():
            raise ValueError("the registry's certificate belongs to another key")
        self._key = key
        self._chain = [base64.b64encode(trusted.public_bytes(Encoding.DER)).decode()]
        self._now = now

    def push_token(self, workspace: str, repo: str) -> SecretStr:
        """One build's login: it pushes and pulls exactly one image repository, for an hour."""
        reach = Reach(name=image_repository(workspace, repo), actions=(PULL, PUSH))
        return self._login(reach, PUSH_LIFETIME)

    def pull_token(self, workspace: str, repo: str) -> SecretStr:
        """What nodes log in with to pull one repository's previews: no other repository's image runs in them."""
        reach = Reach(name=image_repository(workspace, repo), actions=(PULL,))
        return self._login(reach, PULL_LIFETIME)

    def exchange(self, login: str, scopes: Sequence[Scope]) -> RegistryToken:
        """A registry token for what the login covers of the scopes, maybe nothing. Raises Unauthenticated."""
        reach, ends_at = self._reach(login)
        now = self._now()
        lifetime = min(TOKEN_LIFETIME, ends_at - now)
        granted = [each for each in map(reach.within, scopes) if each is not None]
        claims = {
            "iss": ISSUER,
            "sub": reach.name,
            "aud": SERVICE,
            "iat": int(now.timestamp()),
            "nbf": int((now - SKEW).timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "jti": uuid.uuid4().hex,
            "access": [
                {"type": "repository", "name": each.name, "actions": list(each.actions)}
                for each in granted
            ],
        }
        token = jwt.encode(claims, self._key, ALGORITHM, headers={"x5c": self._chain})
        return RegistryToken(secret=SecretStr(token), issued_at=now, lifetime=lifetime)

    def _login(self, reach: Reach, lifetime: timedelta) -> SecretStr:
        claims = {
            "aud": LOGIN,
            "sub": reach.name,
            "may": list(reach.actions),
            "exp": int((self._now() + lifetime).timestamp()),
        }
        return SecretStr(jwt.encode(claims, self._key, ALGORITHM))

    def _reach(self, login: str) -> tuple[Reach, datetime]:
        try:
            claims: dict[str, Any] = jwt.decode(
                login,
                self._key.public_key(),
                algorithms=[ALGORITHM],
                audience=LOGIN,
                options={"require": ["exp", "aud", "sub", "may"], "verify_exp": False},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the registry login is not acceptable: {error}") from error
        ends_at = datetime.fromtimestamp(claims["exp"], UTC)
        if ends_at <= self._now():
            raise Unauthenticated("the registry login has expired")
        return Reach(name=claims["sub"], actions=tuple(claims["may"])), ends_at
