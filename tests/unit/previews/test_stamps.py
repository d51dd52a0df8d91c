"""Behind an Ingress: which revision answered is proven by stamps, whatever the app says of itself."""

import httpx
import pytest
from starlette.responses import PlainTextResponse

from sidecar.domain.check import Check
from sidecar.domain.stamp import PLACE
from sidecar.stamps.app import create_app
from tasks.previews.checks import run_checks
from tasks.previews.stamps import Stamps
from tasks.previews.way import Way

SHA, OTHER = "a" * 40, "b" * 40
URL = "https://app-main.previews.test"


class Controller:
    """One Ingress of two paths: an exact one to the stamp service, all else to the app."""

    def __init__(self, keys, app, revision=SHA):
        self.stamps, self.app, self.revision = create_app(keys), app, revision
        self.asked = []

    async def __call__(self, scope, receive, send):
        self.asked.append(scope["path"])
        is_exact = scope["path"] == PLACE + self.revision
        await (self.stamps if is_exact else self.app)(scope, receive, send)


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys"
    path.write_text("the key\n")
    return path


async def ask(controller, keys, revision=SHA, check=Check(contains=("hello",))):  # noqa: B008 - frozen
    transport = httpx.ASGITransport(controller)
    way = Way(address="ingress:443", stamps=Stamps(keys_file=keys))
    [result] = await run_checks(URL, revision, [check], transport, way)
    return result


async def test_an_answer_between_two_stamps_is_the_revisions(keys):
    controller = Controller(keys, PlainTextResponse("hello"))
    result = await ask(controller, keys)
    assert (result["passed"], result["revision"], result["proven_by"]) == (True, SHA, "stamps")
    assert controller.asked == [PLACE + SHA, "/", PLACE + SHA]


async def test_an_app_that_says_it_is_another_revision_is_not_believed(keys):
    app = PlainTextResponse("hello", headers={"x-x1-revision": OTHER})
    result = await ask(Controller(keys, app), keys, OTHER)
    assert result["revision"] is None
    assert "expected revision bbbbbbbb" in result["failures"][0]


async def test_an_ingress_that_is_switched_under_a_check_proves_nothing(keys):
    async def app(scope, receive, send):
        controller.revision = OTHER
        await PlainTextResponse("hello")(scope, receive, send)

    controller = Controller(keys, app)
    assert not (await ask(controller, keys))["passed"]


async def test_a_stamp_that_an_app_has_seen_once_is_worth_nothing(keys):
    """The old revision's app asked for it by itself, at the host and for the revision that it wants to be."""
    real = Controller(keys, PlainTextResponse("hello"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(real)) as http:
        seen = (await http.get(f"{URL}{PLACE}{SHA}?nonce=mine")).text
    old = Controller(keys, PlainTextResponse(f"{seen}\nhello"), revision=OTHER)
    assert not (await ask(old, keys))["passed"]


async def test_a_stamp_for_another_host_or_by_another_key_is_none(keys, tmp_path):
    class Elsewhere(Controller):
        async def __call__(self, scope, receive, send):
            scope = {**scope, "headers": [(b"host", b"app-other.previews.test")]}
            await super().__call__(scope, receive, send)

    assert not (await ask(Elsewhere(keys, PlainTextResponse("hello")), keys))["passed"]
    (tmp_path / "stolen").write_text("a guess")
    forging = Controller(tmp_path / "stolen", PlainTextResponse("hello"))
    assert not (await ask(forging, keys))["passed"]


@pytest.mark.parametrize(
    ("service", "flow"), [("old", "new\nold"), ("new\nold", "old"), ("new\nold", "new\nold")]
)
async def test_while_keys_are_rotated_either_side_may_be_late(tmp_path, service, flow):
    (tmp_path / "service").write_text(service)
    (tmp_path / "flow").write_text(flow)
    controller = Controller(tmp_path / "service", PlainTextResponse("hello"))
    assert (await ask(controller, tmp_path / "flow"))["passed"]


async def test_a_stamp_wants_a_nonce_of_a_reasonable_length(keys):
    transport = httpx.ASGITransport(create_app(keys))
    async with httpx.AsyncClient(transport=transport) as http:
        for query in ("", "?nonce=", f"?nonce={'x' * 65}"):
            assert (await http.get(f"{URL}{PLACE}{SHA}{query}")).status_code == 400
