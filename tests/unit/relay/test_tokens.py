"""Tokens: what each of them opens, and that none stands in for another."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from sidecar.domain.errors import Unauthenticated
from sidecar.relay.tokens import Tokens


class Clock:
    time = datetime.now(UTC)

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tokens(session_key, clock):
    return Tokens(session_key, clock)


def minted(tokens):
    return tokens.mint_session("s", "a", 3).get_secret_value()


def test_a_session_token_says_who_and_which_generation(tokens):
    claims = tokens.verify_session(minted(tokens))
    assert (claims.session_id, claims.activation_id, claims.generation) == ("s", "a", 3)


def test_an_expired_token_is_good_for_renewing_only(tokens, clock):
    token = minted(tokens)
    clock.time += timedelta(minutes=16)
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.verify_session(token)
    assert tokens.verify_session(token, allow_expired=True).generation == 3


def test_session_operation_and_operator_tokens_do_not_stand_in_for_one_another(tokens):
    operation = tokens.mint_operation("o", 1).get_secret_value()
    operator = tokens.mint_operator("ann", "digest").get_secret_value()
    for verify, token in [
        (tokens.verify_session, operation),
        (tokens.verify_session, operator),
        (tokens.verify_operation, minted(tokens)),
        (lambda token: tokens.verify_operator(token, "digest"), minted(tokens)),
    ]:
        with pytest.raises(Unauthenticated):
            verify(token)


def test_another_keys_signature_is_worth_nothing(tokens):
    claims = {"sub": "s", "aud": "x1-relay", "exp": 9e9, "gen": 1}
    for forged in (jwt.encode(claims, "k" * 32, "HS256"), jwt.encode(claims, None, "none")):
        with pytest.raises(Unauthenticated):
            tokens.verify_session(forged)


def test_a_cookie_dies_with_the_operator_token_it_was_had_for(tokens):
    cookie = tokens.mint_operator("ann", "old").get_secret_value()
    with pytest.raises(Unauthenticated, match="changed"):
        tokens.verify_operator(cookie, "new")


def key_pair():
    private = Ed25519PrivateKey.generate()
    return (
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def test_while_a_key_is_replaced_every_relay_takes_what_every_other_one_signs(clock):
    (old, old_public), (new, new_public) = key_pair(), key_pair()
    before = Tokens(old, clock)
    told = Tokens(old + new_public, clock)
    until = (clock.time + timedelta(minutes=15)).isoformat().encode()
    after = Tokens(new + b"accepted-until: " + until + b"\n" + old_public, clock)
    for signer, verifiers in [
        (before, (before, told, after)),
        (told, (before, told, after)),
        (after, (told, after)),
    ]:
        for each in verifiers:
            assert each.verify_session(minted(signer)).generation == 3


def test_a_replaced_key_is_worth_nothing_after_its_time_even_for_renewing(clock):
    (old, old_public), (new, _) = key_pair(), key_pair()
    until = (clock.time + timedelta(minutes=15)).isoformat().encode()
    after = Tokens(new + b"accepted-until: " + until + b"\n" + old_public, clock)
    clock.time += timedelta(minutes=15)
    with pytest.raises(Unauthenticated, match="not one of ours"):
        after.verify_session(minted(Tokens(old, clock)), allow_expired=True)


def test_a_token_that_names_no_key_is_tried_with_all_of_them(tokens, session_key, clock):
    claims = {"sub": "s", "aud": "x1-relay", "exp": 9e9, "gen": 1}
    unnamed = jwt.encode(claims, load_pem_private_key(session_key, None), "EdDSA")
    assert tokens.verify_session(unnamed).generation == 1


@pytest.mark.parametrize(
    "bad",
    [
        b"no key at all",
        key_pair()[1],
        key_pair()[0] + key_pair()[0],
        key_pair()[0] + b"accepted-until: 2030-01-01\n" + key_pair()[1],
        key_pair()[0] + b"accepted-until: soon\n" + key_pair()[1],
    ],
)
def test_a_key_file_that_could_mean_something_else_is_refused(bad):
    with pytest.raises(ValueError):
        Tokens(bad)
