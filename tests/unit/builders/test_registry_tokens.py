"""The registry's token service: what a build may push, what a node may pull, and nothing beyond."""

import base64
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import jwt
import pytest
from cryptography.x509 import load_der_x509_certificate
from starlette.applications import Starlette

from infra.cluster import registry_keys
from sidecar.domain.image_name import image_repository
from sidecar.http_errors import exception_handlers
from sidecar.relay.registry import token_service
from sidecar.relay.registry.tokens import RegistryTokens

OWN = image_repository("default", "acme/app")
OTHER = image_repository("default", "acme/other")
FOREIGN = image_repository("default-two", "acme/app")


class Clock:
    """Right when a test begins: some of what it dates is checked against the real time."""

    def __init__(self):
        self.time = datetime.now(UTC)

    def __call__(self):
        return self.time


@pytest.fixture(scope="module")
def keys():
    return {name: text.encode() for name, text in registry_keys.make({}).items()}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tokens(keys, clock):
    return RegistryTokens(keys[registry_keys.KEY], keys[registry_keys.CERTIFICATE], clock)


@pytest.fixture
async def client(tokens):
    app = Starlette(routes=token_service.routes, exception_handlers=exception_handlers)
    app.state.services = SimpleNamespace(registry_tokens=tokens)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://relay") as http:
        yield http


async def asked(client, login, *scopes, user="x1", service="x1-registry"):
    secret = login if isinstance(login, str) else login.get_secret_value()
    query = [("service", service), *(("scope", each) for each in scopes)]
    return await client.get("/registry/token", params=query, auth=(user, secret))


def granted(answer):
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["token"] == told["access_token"]
    claims = jwt.decode(told["token"], options={"verify_signature": False})
    return {each["name"]: each["actions"] for each in claims["access"]}


async def test_a_build_pushes_to_its_own_repository_and_to_no_other(client, tokens):
    login = tokens.push_token("default", "acme/app")
    wanted = [f"repository:{name}:pull,push" for name in (OWN, OTHER, FOREIGN)]
    assert granted(await asked(client, login, *wanted)) == {OWN: ["pull", "push"]}
    assert granted(await asked(client, login, " ".join(wanted))) == {OWN: ["pull", "push"]}


async def test_a_build_deletes_nothing(client, tokens):
    login = tokens.push_token("default", "acme/app")
    assert (
        granted(await asked(client, login, f"repository:{OWN}:delete,*", "registry:catalog:*"))
        == {}
    )


async def test_a_node_pulls_one_repositorys_images_and_pushes_none(client, tokens):
    login = tokens.pull_token("default", "acme/app")
    wanted = [f"repository:{name}:pull,push" for name in (OWN, OTHER, FOREIGN, "library/python")]
    assert granted(await asked(client, login, *wanted)) == {OWN: ["pull"]}


async def test_repositories_that_read_alike_have_names_of_their_own():
    names = {image_repository("default", each) for each in ("a-b/c", "a/b-c", "A/b-c", "a.b/c")}
    assert len(names) == 4
    assert image_repository("default", "-/.").startswith("ws/default/")


async def test_the_registry_can_tell_who_signed_and_until_when(client, tokens, keys):
    answer = await asked(client, tokens.push_token("default", "acme/app"), f"repository:{OWN}:pull")
    token = answer.json()["token"]
    [certificate] = jwt.get_unverified_header(token)["x5c"]
    trusted = load_der_x509_certificate(base64.b64decode(certificate))
    claims = jwt.decode(
        token, trusted.public_key(), algorithms=["ES256"], audience="x1-registry", issuer="x1-relay"
    )
    assert claims["exp"] - claims["iat"] == answer.json()["expires_in"] == 300


async def test_a_login_ends_and_no_registry_token_outlives_it(client, tokens, clock):
    login = tokens.push_token("default", "acme/app")
    clock.time += timedelta(minutes=59)
    assert (await asked(client, login, f"repository:{OWN}:pull")).json()["expires_in"] <= 60
    clock.time += timedelta(minutes=2)
    assert (await asked(client, login, f"repository:{OWN}:pull")).status_code == 401


async def test_only_a_login_of_this_key_is_let_in(client, tokens, keys, clock):
    another = {name: text.encode() for name, text in registry_keys.make({}).items()}
    forged = RegistryTokens(*another.values(), clock).push_token("default", "acme/app")
    login = tokens.push_token("default", "acme/app")
    scope = f"repository:{OWN}:pull"
    spent = (await asked(client, login, scope)).json()["token"]
    for answer in (
        await asked(client, forged, scope),
        await asked(client, spent, scope),
        await asked(client, "", scope),
        await asked(client, login, scope, user="root"),
        await asked(client, login, scope, service="another"),
        await client.get("/registry/token", params={"service": "x1-registry", "scope": scope}),
        await client.get("/registry/token", headers={"authorization": "Basic ,,,"}),
    ):
        assert answer.status_code == 401
        assert "token" not in answer.json()


async def test_oauth_is_refused_in_the_way_that_clients_take_as_an_invitation_to_basic(client):
    assert (
        await client.post("/registry/token", data={"grant_type": "password"})
    ).status_code == 405


async def test_a_relay_without_a_registry_says_so():
    app = Starlette(routes=token_service.routes, exception_handlers=exception_handlers)
    app.state.services = SimpleNamespace(registry_tokens=None)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://relay"
    ) as http:
        assert (await asked(http, "any")).status_code == 404


def test_a_certificate_of_another_key_is_refused_at_the_start(keys):
    stranger = registry_keys.make({})[registry_keys.CERTIFICATE].encode()
    with pytest.raises(ValueError, match="another key"):
        RegistryTokens(keys[registry_keys.KEY], stranger)


def test_keys_that_stand_are_kept():
    standing = registry_keys.make({})
    assert registry_keys.make(standing) == {}
