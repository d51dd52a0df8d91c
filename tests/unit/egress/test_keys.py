"""The relay's keys as the egress proxy believes them: before, during and after one is replaced, and while it is away."""

import json

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sidecar.domain.errors import RelayUnavailable, Unauthenticated
from sidecar.egress import keys as module
from sidecar.egress.keys import RelayKeys
from sidecar.egress.passes import Passes


class Relay:
    """Tells `keys`, by their ids; None: it is away."""

    def __init__(self):
        self.keys = {}
        self.asked = 0

    def key_set(self, _):
        self.asked += 1
        if self.keys is None:
            return Response(status_code=503)
        keys = [
            json.loads(OKPAlgorithm.to_jwk(key.public_key())) | {"kid": kid}
            for kid, key in self.keys.items()
        ]
        return JSONResponse({"keys": keys})


@pytest.fixture
async def relay(monkeypatch):
    monkeypatch.setattr(module, "AT_MOST_EVERY_SECONDS", 0)
    relay = Relay()
    app = Starlette(routes=[Route("/.well-known/jwks.json", relay.key_set)])
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://relay") as http:
        relay.passes = Passes(RelayKeys(http).named)
        yield relay


def token(key, kid):
    claims = {"aud": "x1-egress", "sub": "s", "hosts": [], "exp": 4_000_000_000}
    return jwt.encode(claims, key, "EdDSA", headers={"kid": kid} if kid else None)


async def test_a_key_that_is_new_is_asked_for_and_one_that_is_gone_is_not_believed(relay):
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    relay.keys = {"old": old}
    assert (await relay.passes.check(token(old, "old"))).session_id == "s"
    relay.keys = {"new": new}
    assert (await relay.passes.check(token(new, "new"))).session_id == "s"
    with pytest.raises(Unauthenticated):
        await relay.passes.check(token(old, "old"))


async def test_a_relay_that_is_away_leaves_what_was_believed(relay):
    key = Ed25519PrivateKey.generate()
    relay.keys = {"k": key}
    await relay.passes.check(token(key, "k"))
    relay.keys = None
    assert (await relay.passes.check(token(key, "k"))).session_id == "s"
    with pytest.raises(Unauthenticated):
        await relay.passes.check(token(key, "unknown"))


async def test_before_the_relay_has_answered_nothing_is_believed_and_the_proxy_is_not_ready(relay):
    relay.keys = None
    with pytest.raises(RelayUnavailable, match="waits for the relay's keys"):
        await relay.passes.check(token(Ed25519PrivateKey.generate(), "k"))


async def test_made_up_key_ids_do_not_make_the_relay_be_asked_each_time(relay, monkeypatch):
    monkeypatch.setattr(module, "AT_MOST_EVERY_SECONDS", 60)
    key = Ed25519PrivateKey.generate()
    relay.keys = {"k": key}
    await relay.passes.check(token(key, "k"))
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await relay.passes.check(token(key, f"made-up-{number}"))
    assert relay.asked == 1
