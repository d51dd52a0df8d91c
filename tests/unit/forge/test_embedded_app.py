"""The embedded forge and its App: whose JWT it takes, and what it mints."""

import time
from functools import cache
from typing import Any

import jwt
import pytest
from called_forge import Embedded
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from embedded_forge import APP_ID, app_key

from infra.local.forge.installations import installation_of

MINT = f"/app/installations/{installation_of('acme')}/access_tokens"
NARROW = {"repositories": ["app"], "permissions": {"contents": "read"}}


@cache
def read_key(name: str) -> PrivateKeyTypes:
    """Once a name: reading a key proves its primes, which takes 30 ms."""
    return load_pem_private_key(app_key(name).private.encode(), None)


def signed(key: str = "the App's", algorithm: str = "RS256", **changed: Any) -> dict[str, str]:
    now = int(time.time())
    claims = {"iat": now - 60, "exp": now + 540, "iss": APP_ID} | changed
    kept = {name: value for name, value in claims.items() if value is not None}
    secret = read_key(key) if algorithm == "RS256" else "x" * 64
    return {"authorization": f"Bearer {jwt.encode(kept, secret, algorithm=algorithm)}"}


def ago(seconds: int) -> int:
    return int(time.time()) - seconds


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(lambda: signed(iat=ago(700), exp=ago(120)), id="expired"),
        pytest.param(lambda: signed(iss="8"), id="another issuer"),
        pytest.param(lambda: signed(iss=None), id="no issuer"),
        pytest.param(lambda: signed(key="a stranger's"), id="another key"),
        pytest.param(lambda: signed(exp=None), id="no end"),
        pytest.param(lambda: signed(exp=ago(-7200)), id="two hours long"),
        pytest.param(lambda: signed(iat=ago(-300), exp=ago(-600)), id="from the future"),
        pytest.param(lambda: signed(algorithm="HS256"), id="another algorithm"),
        pytest.param(lambda: {"authorization": "Bearer x.y.z"}, id="garbage"),
        pytest.param(lambda: {"authorization": "Bearer"}, id="empty"),
        pytest.param(dict, id="none"),
    ],
)
async def test_only_a_fresh_jwt_of_the_app_is_taken(embedded: Embedded, headers: Any):
    for method, path in (
        ("GET", "/app"),
        ("GET", "/app/installations"),
        ("GET", "/repos/acme/app/installation"),
        ("GET", "/repos/acme/nowhere/installation"),
        ("POST", MINT),
    ):
        answer = await embedded.http.request(method, path, headers=headers())
        assert answer.status_code == 401
        assert answer.json()["message"] == "A JSON web token could not be decoded"


async def test_the_apps_jwt_reads_no_repository(embedded: Embedded):
    answer = await embedded.http.get("/repos/acme/app", headers=signed())
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


async def test_a_token_is_as_narrow_as_it_was_asked_for(embedded: Embedded):
    minted = await embedded.http.post(MINT, headers=signed(), json=NARROW)
    assert minted.status_code == 201
    assert minted.json()["permissions"] == {"contents": "read"}
    assert minted.json()["repositories"] == [{"full_name": "acme/app"}]
    headers = {"authorization": f"token {minted.json()['token']}"}
    assert (await embedded.http.get("/repos/acme/app", headers=headers)).status_code == 200
    assert (await embedded.http.get("/repos/acme/other", headers=headers)).status_code == 403
    merging = await embedded.http.post("/repos/acme/app/merges", headers=headers, json={})
    assert merging.status_code == 403


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"repositories": ["none"]}, 422),
        ({"repositories": ["app", "../other"]}, 422),
        ({"repositories": "app"}, 422),
        ({"repositories": [{"name": "app"}]}, 422),
        ({"repositories": [1]}, 422),
        ({"permissions": ["contents"]}, 422),
        ({"permissions": {"contents": "admin"}}, 422),
        ({"permissions": {"contents": {"read": True}}}, 422),
        ({"permissions": {"contents": None}}, 422),
    ],
)
async def test_a_token_that_makes_no_sense_is_not_minted(
    embedded: Embedded, change: dict[str, Any], status: int
):
    answer = await embedded.http.post(MINT, headers=signed(), json=NARROW | change)
    assert answer.status_code == status
    assert answer.json()["message"]
    assert not (embedded.root / "tokens.json").exists()


@pytest.mark.parametrize(("body", "status"), [("{", 400), ("[]", 422), ("\udcff", 400)])
async def test_a_body_that_is_no_object_is_refused(embedded: Embedded, body: str, status: int):
    content = body.encode(errors="surrogateescape")
    answer = await embedded.http.post(MINT, headers=signed(), content=content)
    assert answer.status_code == status


async def test_an_installation_that_is_not_there_mints_nothing(embedded: Embedded):
    path = f"/app/installations/{installation_of('nobody')}/access_tokens"
    for body in (NARROW, {}):
        answer = await embedded.http.post(path, headers=signed(), json=body)
        assert answer.status_code == 404
