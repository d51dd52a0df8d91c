"""Tokens the relay signs: EdDSA, one audience, short. They carry a generation, which the ledger checks.

A token proves who speaks; whether he may still speak is `sidecar.relay.fence`'s question.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
from jwt.algorithms import OKPAlgorithm
from pydantic import SecretStr

from sidecar.domain.errors import Unauthenticated
from sidecar.domain.ids import ActivationId, OperationId, SessionId
from sidecar.domain.lease import TOKEN_LIFETIME
from sidecar.relay.keyring import Keyring

ALGORITHM: Final = "EdDSA"
AUDIENCE: Final = "x1-relay"
OPERATOR_AUDIENCE: Final = "x1-operator"
EGRESS_AUDIENCE: Final = "x1-egress"
OPERATOR_LIFETIME: Final = timedelta(hours=12)
_OPERATION_PREFIX: Final = "operation:"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClaims:
    session_id: SessionId
    activation_id: ActivationId
    generation: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationClaims:
    operation_id: OperationId
    generation: int
    expires_at: datetime


class Tokens:
    """`keys` is PEM, as `sidecar.relay.keyring` reads it. Every verify raises Unauthenticated."""

    lifetime: Final = TOKEN_LIFETIME

    def __init__(
        self, keys: bytes, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._keyring = Keyring.of(keys)
        self._now = now

    def mint_session(
        self, session_id: SessionId, activation_id: ActivationId, generation: int
    ) -> SecretStr:
        return self._sign(
            {"aud": AUDIENCE, "sub": session_id, "gen": generation, "act": activation_id},
            self.lifetime,
        )

    def verify_session(self, token: str, *, allow_expired: bool = False) -> SessionClaims:
        """`allow_expired` is for renewing a lease alone: the generation decides there."""
        claims = self._verify(token, AUDIENCE, allow_expired=allow_expired)
        if claims["sub"].startswith(_OPERATION_PREFIX):
            raise Unauthenticated("this is an operation's token; a session's was expected")
        return SessionClaims(
            session_id=SessionId(claims["sub"]),
            activation_id=ActivationId(str(claims.get("act", ""))),
            generation=_generation(claims),
            expires_at=_expiry(claims),
        )

    def mint_operation(self, operation_id: OperationId, generation: int) -> SecretStr:
        subject = f"{_OPERATION_PREFIX}{operation_id}"
        return self._sign({"aud": AUDIENCE, "sub": subject, "gen": generation}, self.lifetime)

    def verify_operation(self, token: str, *, allow_expired: bool = False) -> OperationClaims:
        claims = self._verify(token, AUDIENCE, allow_expired=allow_expired)
        if not claims["sub"].startswith(_OPERATION_PREFIX):
            raise Unauthenticated("this is a session's token; an operation's was expected")
        return OperationClaims(
            operation_id=OperationId(claims["sub"].removeprefix(_OPERATION_PREFIX)),
            generation=_generation(claims),
            expires_at=_expiry(claims),
        )

    def mint_egress(self, session_id: SessionId, hosts: Iterable[str]) -> SecretStr:
        """For the egress proxy, which opens `hosts` (patterns of `sidecar.domain.egress`) and nothing else."""
        return self._sign(
            {"aud": EGRESS_AUDIENCE, "sub": session_id, "hosts": list(hosts)}, self.lifetime
        )

    def mint_operator(self, name: str, token_digest: str) -> SecretStr:
        """A browser's cookie. `token_digest` ties it to the operator token it was had for."""
        claims = {"aud": OPERATOR_AUDIENCE, "sub": name, "tok": token_digest}
        return self._sign(claims, OPERATOR_LIFETIME)

    def verify_operator(self, token: str, token_digest: str) -> str:
        claims = self._verify(token, OPERATOR_AUDIENCE)
        if claims.get("tok") != token_digest:
            raise Unauthenticated("the operator token was changed; sign in again")
        return claims["sub"]

    def key_set(self) -> dict[str, Any]:
        """The public halves of the keys that are believed now, as a JWK set (RFC 7517)."""
        now = self._now()
        believed = [each for each in self._keyring.believed if each.is_accepted(now)]
        return {
            "keys": [
                OKPAlgorithm.to_jwk(each.public, as_dict=True) | {"use": "sig", "kid": each.kid}
                for each in believed
            ]
        }

    def _sign(self, claims: dict[str, Any], lifetime: timedelta) -> SecretStr:
        claims = {**claims, "exp": int((self._now() + lifetime).timestamp())}
        keyring = self._keyring
        signed = jwt.encode(
            claims, keyring.private, algorithm=ALGORITHM, headers={"kid": keyring.kid}
        )
        return SecretStr(signed)

    def _verify(self, token: str, audience: str, *, allow_expired: bool = False) -> dict[str, Any]:
        try:
            claims = self._proven(token, audience)
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is not acceptable: {error}") from error
        if not allow_expired and _expiry(claims) <= self._now():
            raise Unauthenticated("the token has expired; renew the lease")
        return claims

    def _proven(self, token: str, audience: str) -> dict[str, Any]:
        """By the key that it names, or by any of ours. Raises PyJWTError."""
        kid = jwt.get_unverified_header(token).get("kid")
        refused: jwt.PyJWTError = jwt.InvalidSignatureError("its key is not one of ours")
        for public in self._keyring.candidates(kid, self._now()):
            try:
                return jwt.decode(
                    token,
                    public,
                    algorithms=[ALGORITHM],
                    audience=audience,
                    options={"require": ["exp", "aud", "sub"], "verify_exp": False},
                )
            except jwt.PyJWTError as error:
                refused = error
        raise refused


def _generation(claims: dict[str, Any]) -> int:
    generation = claims.get("gen")
    if not isinstance(generation, int):
        raise Unauthenticated("the token carries no generation")
    return generation


def _expiry(claims: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(claims["exp"], UTC)
