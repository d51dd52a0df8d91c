"""What GitHub's client makes of a forge that refuses: typed errors that an agent can read."""

import httpx
import pytest
from answering_forge import SECRET, AnsweringForge, Reply
from embedded_forge import APP_ID, app_key

from sidecar.domain.errors import Forbidden, ForgeUnavailable, MergeConflict, X1Error
from sidecar.domain.ids import Repository, Revision
from sidecar.relay.forge.github import GitHub

APP = Repository("acme/app")
SHA = Revision("a" * 40)
pytestmark = pytest.mark.usefixtures("no_waits")


def saying(status: int, message: str = "No.", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: httpx.Response(status, json={"message": message}, headers=named)


async def test_a_token_that_is_not_taken_is_minted_anew_once():
    answers = iter([httpx.Response(401), httpx.Response(200, json={"commit": {"sha": SHA}})])
    forge = AnsweringForge(lambda _: next(answers))
    async with forge.client() as client:
        assert await client.head(APP, "main") == SHA
    assert [each.rpartition("/")[2] for each in forge.paths()] == [
        *("installation", "access_tokens", "main"),
        *("installation", "access_tokens", "main"),
    ]


async def test_a_token_that_is_never_taken_makes_the_forge_unavailable():
    forge = AnsweringForge(saying(401, "Bad credentials"))
    async with forge.client() as client:
        with pytest.raises(ForgeUnavailable, match="does not take its own token for acme/app"):
            await client.head(APP, "main")


async def test_an_app_key_that_is_not_taken_is_told():
    forge = AnsweringForge(saying(401, "A JSON web token could not be decoded"), is_minting=False)
    async with forge.client() as client:
        with pytest.raises(Forbidden, match="401: A JSON web token could not be decoded"):
            await client.token(APP, "read")


async def test_the_public_half_in_place_of_the_apps_key_is_told():
    url, public = "http://forge.invalid", app_key().public
    async with GitHub(api_url=url, git_url=url, app_id=APP_ID, private_key=public) as client:
        with pytest.raises(TypeError, match="expected the forge App's private key, came a public"):
            await client.token(APP, "read")


async def test_an_app_that_lacks_a_permission_is_told():
    def reply(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/installation"):
            return httpx.Response(200, json={"id": 5})
        return httpx.Response(422, json={"message": "The permissions requested are not granted"})

    async with AnsweringForge(reply, is_minting=False).client() as client:
        with pytest.raises(Forbidden, match="may not write acme/app: The permissions requested"):
            await client.token(APP, "write")


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {"retry_after": "60"}),
        (403, {"x_ratelimit_remaining": "0"}),
        (429, {"retry_after": "60"}),
        (429, {}),
    ],
)
async def test_who_asks_for_a_pause_is_not_asked_again(status: int, headers: dict[str, str]):
    forge = AnsweringForge(saying(status, "Slow down", **headers))
    async with forge.client() as client:
        with pytest.raises(ForgeUnavailable, match="Slow down") as caught:
            await client.head(APP, "main")
    assert ("again in 60 s" in str(caught.value)) == ("retry_after" in headers)
    assert len(forge.asked) == 3


async def test_a_403_is_a_refusal_in_the_forges_words():
    async with AnsweringForge(saying(403, "Resource not accessible")).client() as client:
        with pytest.raises(Forbidden, match="403: Resource not accessible"):
            await client.read_file(APP, "a", SHA)


@pytest.mark.parametrize("status", [404, 422])
async def test_what_is_not_there_is_nothing(status: int):
    async with AnsweringForge(saying(status)).client() as client:
        assert await client.head(APP, "main") is None
        assert not await client.is_ancestor(APP, SHA, SHA)
        assert await client.read_file(APP, "a", SHA) is None


@pytest.mark.parametrize("status", [404, 409])
async def test_a_merge_that_cannot_be_is_a_conflict(status: int):
    async with AnsweringForge(saying(status, "Merge conflict")).client() as client:
        with pytest.raises(
            MergeConflict, match="aaaaaaaa does not merge into main: Merge conflict"
        ):
            await client.merge(APP, "main", SHA, "Merge it")


async def test_a_merge_that_is_protected_is_refused():
    async with AnsweringForge(saying(422, "Changes must be made by review")).client() as client:
        with pytest.raises(Forbidden, match="Changes must be made by review"):
            await client.merge(APP, "main", SHA, "Merge it")


async def test_a_repository_that_moved_is_told_not_followed():
    forge = AnsweringForge(saying(301, "Moved Permanently", location="http://evil.invalid/"))
    async with forge.client() as client:
        with pytest.raises(Forbidden, match="301: Moved Permanently"):
            await client.head(APP, "main")
    assert {each.url.host for each in forge.asked} == {"forge.invalid"}


@pytest.mark.parametrize("status", [401, 403, 404, 409, 422, 429, 500, 503])
@pytest.mark.parametrize("is_json", [True, False])
async def test_no_error_repeats_the_token(status: int, is_json: bool):
    def reply(request: httpx.Request) -> httpx.Response:
        echo = f"you sent {request.headers['authorization']}, {SECRET}"
        if is_json:
            return httpx.Response(status, json={"message": echo})
        return httpx.Response(status, text=echo)

    async with AnsweringForge(reply).client() as client:
        with pytest.raises(X1Error) as caught:
            await client.merge(APP, "main", SHA, "Merge it")
    assert "s3cret" not in str(caught.value)


async def test_a_long_answer_is_told_in_short():
    async with AnsweringForge(lambda _: httpx.Response(403, text="x" * 9999)).client() as client:
        with pytest.raises(Forbidden) as caught:
            await client.head(APP, "main")
    assert len(str(caught.value)) < 300
