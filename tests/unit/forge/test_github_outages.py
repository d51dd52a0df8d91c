"""What GitHub's client makes of a forge that is away or talks nonsense: ForgeUnavailable, after a few tries."""

import asyncio
import traceback
from datetime import timedelta

import httpx
import pytest
from answering_forge import SECRET, AnsweringForge

from sidecar.domain.errors import ForgeUnavailable
from sidecar.domain.ids import Repository, Revision

APP = Repository("acme/app")
SHA = Revision("a" * 40)
pytestmark = pytest.mark.usefixtures("no_waits")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 521])
async def test_a_5xx_is_tried_three_times(status: int):
    forge = AnsweringForge(lambda _: httpx.Response(status, text="<h1>Sorry</h1>"))
    async with forge.client() as client:
        with pytest.raises(ForgeUnavailable, match=f"the forge answers {status}"):
            await client.head(APP, "main")
    assert forge.paths()[2:] == ["GET /repos/acme/app/branches/main"] * 3


async def test_an_outage_that_ends_is_not_noticed():
    answers = iter([httpx.Response(502), httpx.Response(200, json={"commit": {"sha": SHA}})])
    async with AnsweringForge(lambda _: next(answers)).client() as client:
        assert await client.head(APP, "main") == SHA


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        httpx.DecodingError("no gzip"),
    ],
)
async def test_a_forge_that_does_not_answer_is_unavailable(error: httpx.RequestError):
    def reply(_: httpx.Request) -> httpx.Response:
        raise error

    async with AnsweringForge(reply).client() as client:
        with pytest.raises(ForgeUnavailable, match=type(error).__name__):
            await client.merge(APP, "main", SHA, "Merge it")


@pytest.mark.parametrize(
    "body", ["", "<html>", "[]", "null", "{}", '{"commit": 1}', '{"commit": {"sha": "../x"}}']
)
async def test_a_garbled_answer_is_an_outage(body: str):
    async with AnsweringForge(lambda _: httpx.Response(200, text=body)).client() as client:
        with pytest.raises(ForgeUnavailable, match="200 with what is no"):
            await client.head(APP, "main")
        with pytest.raises(ForgeUnavailable, match="200 with what is no"):
            await client.is_ancestor(APP, SHA, SHA)
        with pytest.raises(ForgeUnavailable, match="200 with what is no"):
            await client.merge(APP, "main", SHA, "Merge it")


@pytest.mark.parametrize(
    "minted",
    [
        f'{{"token": "{SECRET}"}}',
        f'{{"token": "{SECRET}", "expires_at": "soon"}}',
        f'{{"token": "{SECRET}", "expires_at": "2030-01-01T00:00:00"}}',
        f'{{"token": ["{SECRET}"], "expires_at": "2030-01-01T00:00:00Z"}}',
        f'{{"token": "{SECRET}", ',
        '{"token": "", "expires_at": "2030-01-01T00:00:00Z"}',
    ],
)
async def test_a_garbled_token_is_an_outage_that_does_not_show_it(minted: str):
    def reply(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/installation"):
            return httpx.Response(200, json={"id": 5})
        return httpx.Response(201, text=minted)

    async with AnsweringForge(reply, is_minting=False).client() as client:
        with pytest.raises(ForgeUnavailable) as caught:
            await client.token(APP, "read")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


async def test_a_directorys_listing_is_no_file():
    listing = httpx.Response(200, json=[{"type": "file", "name": "a"}])
    async with AnsweringForge(lambda _: listing).client() as client:
        assert await client.read_file(APP, "docs", SHA) is None


async def test_a_file_that_is_json_is_a_file():
    kind = {"content-type": "application/vnd.github.raw+json; charset=utf-8"}
    raw = httpx.Response(200, content=b"[]", headers=kind)
    async with AnsweringForge(lambda _: raw).client() as client:
        assert await client.read_file(APP, "a.json", SHA) == b"[]"


async def test_one_token_is_minted_for_many_questions_and_one_for_each_access():
    forge = AnsweringForge(lambda _: httpx.Response(404))
    async with forge.client() as client:
        await asyncio.gather(*(client.head(APP, "main") for _ in range(5)))
        await client.token(APP, "write")
    assert sum(path.endswith("/access_tokens") for path in forge.paths()) == 2


async def test_a_token_that_is_about_to_end_is_renewed():
    forge = AnsweringForge(lambda _: httpx.Response(404), lifetime=timedelta(minutes=9))
    async with forge.client() as client:
        await client.head(APP, "main")
        await client.head(APP, "main")
    assert sum(path.endswith("/access_tokens") for path in forge.paths()) == 2


@pytest.mark.parametrize("path", ["..", "../a", "docs/../../../app", "."])
async def test_no_path_leaves_the_contents(path: str):
    forge = AnsweringForge(lambda _: httpx.Response(404))
    async with forge.client() as client:
        assert await client.read_file(APP, path, SHA) is None
    assert forge.asked == []
