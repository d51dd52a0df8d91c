"""Asking a preview, and keeping an operation while that takes."""

import asyncio

import httpx
import pytest
from pydantic import SecretStr

from sidecar.client.operations import OperationsClient
from sidecar.domain.check import Check
from sidecar.wire.previews import OperationBundle
from tasks.previews.checks import run_checks
from tasks.previews.errors import HostUnavailable, NotProven, OperationOver
from tasks.previews.host import PreviewHost, Start, host_of
from tasks.previews.operation import held, in_hand

SHA = "a" * 40
URL = "http://app-main.localhost:8800"


def answering(revision=SHA, text="hello"):
    asked = []

    def answer(request):
        asked.append(request)
        return httpx.Response(200, text=text, headers={"x-x1-revision": revision})

    return httpx.MockTransport(answer), asked


async def test_a_check_goes_to_this_machine_under_the_previews_name():
    transport, asked = answering()
    checks = [Check(path="/a?b=c", contains=("hello",), headers={"Host": "evil", "X-A": "1"})]
    [result] = await run_checks(URL, SHA, checks, transport)
    assert result["passed"]
    assert result["revision"] == SHA
    [request] = asked
    assert str(request.url) == "http://127.0.0.1:8800/a?b=c"
    assert request.headers["host"] == "app-main.localhost:8800"
    assert request.headers["x-a"] == "1"


async def test_an_answer_of_another_revision_proves_nothing():
    transport, _ = answering(revision="b" * 40)
    [result] = await run_checks(URL, SHA, [Check()], transport)
    assert not result["passed"]
    assert "expected revision aaaaaaaa" in result["failures"][0]


async def test_no_answer_is_a_failed_check_and_the_next_is_still_asked():
    def answer(request):
        if request.url.path == "/down":
            raise httpx.ConnectError("refused")
        return httpx.Response(200, text="hello", headers={"x-x1-revision": SHA})

    checks = [Check(path="/down"), Check()]
    results = await run_checks(URL, SHA, checks, httpx.MockTransport(answer))
    assert [each["passed"] for each in results] == [False, True]
    assert results[0]["failures"] == ["no answer: ConnectError"]


class Dripping(httpx.AsyncByteStream):
    """Never silent for long, and never at its end."""

    async def __aiter__(self):
        while True:
            yield b"."
            await asyncio.sleep(0.01)


async def test_an_answer_that_never_ends_is_a_failed_check_and_the_next_is_still_asked():
    def answer(request):
        content = {"stream": Dripping()} if request.url.path == "/drip" else {"text": "hello"}
        return httpx.Response(200, headers={"x-x1-revision": SHA}, **content)

    checks, transport = [Check(path="/drip"), Check()], httpx.MockTransport(answer)
    async with asyncio.timeout(20):
        results = await run_checks(URL, SHA, checks, transport, seconds=1)
    assert [each["passed"] for each in results] == [False, True]
    assert results[0]["failures"] == ["no whole answer within 1 s"]


BUNDLE = OperationBundle(
    outcome="claimed", operation_id="o1", holder="run/nonce", token=SecretStr("token")
)


def relay_that(reports, *answers):
    told = list(answers)

    def answer(request):
        reports.append(request)
        status, body = told.pop(0) if told else (200, {"lease_seconds": 20})
        return httpx.Response(status, json=body)

    return OperationsClient("http://relay", httpx.MockTransport(answer))


async def test_words_travel_before_the_end_that_they_belong_to():
    reports = []
    async with relay_that(reports) as relay, held(relay, BUNDLE) as operation:
        assert in_hand() is operation
        operation.say("$ make")
        await operation.end("succeeded", {})
    bodies = [request.content.decode() for request in reports]
    assert "$ make" in bodies[0]
    assert '"succeeded"' in bodies[-1]
    assert reports[0].headers["authorization"] == "Bearer token"


async def test_what_the_run_was_given_in_secret_is_in_no_word_that_it_reports():
    given = {"git_token": "canary-of-git", "push_token": "canary-of-push"}
    given |= {"pull_token": "canary-of-pull", "token": "canary-of-relay"}
    key = "-----BEGIN KEY-----\ncanary-of-a-line\n-----END KEY-----"
    bundle = BUNDLE.model_copy(
        update={name: SecretStr(value) for name, value in given.items()}
        | {"secrets": {"STRIPE": SecretStr("canary-of-stripe"), "KEY": SecretStr(key)}}
    )
    words = [*given.values(), "canary-of-stripe", "canary-of-a-line"]
    reports = []
    async with relay_that(reports) as relay, held(relay, bundle) as operation:
        for each in words:
            operation.say(f"built with {each}")
        await operation.app_log([f"started with {each}" for each in words])
        await operation.end("failed", {"diagnosis": f"it said: {words}"})
    told = "".join(request.content.decode() for request in reports)
    assert "built with ***" in told
    assert "started with ***" in told
    assert "canary" not in told


async def test_a_superseded_operation_stops_its_work():
    async def work(relay):
        async with held(relay, BUNDLE) as operation:
            await operation.enter("deploying")
            await asyncio.sleep(60)

    cancelled = (200, {"lease_seconds": 20, "cancelled": True})
    async with relay_that([], cancelled) as relay:
        with pytest.raises(OperationOver, match="another wish"):
            await work(relay)
    lost = (409, {"error": {"code": "lease_lost", "message": "in other hands"}})
    async with relay_that([], lost) as relay:
        with pytest.raises(OperationOver, match="in other hands"):
            await work(relay)


async def test_an_absent_relay_is_waited_for():
    reports = []
    away = (503, {"error": {"code": "relay_unavailable", "message": "away"}})
    async with relay_that(reports, away) as relay, held(relay, BUNDLE) as operation:
        await operation.end("succeeded", {})
    assert len(reports) == 2


async def test_the_error_of_the_work_comes_out_plain():
    async with relay_that([]) as relay:
        with pytest.raises(NotProven):
            async with held(relay, BUNDLE):
                raise NotProven("it ended before it answered")


async def test_the_host_tells_verdicts_from_absence():
    wanted = Start(
        argv=["true"],
        cwd="/",
        url_host="app",
        alias_host="alias",
        health_path="/",
        timeout_seconds=1,
    )

    def host(status, body):
        transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
        return PreviewHost(socket="unused", transport=transport)

    verdict = {"error": {"code": "not_proven", "message": "it ended"}, "log": ["boom"]}
    async with host(422, verdict) as client:
        with pytest.raises(NotProven) as refused:
            await client.start("p1", SHA, wanted)
    assert refused.value.lines == ("boom",)
    away = {"error": {"code": "proxy_unavailable", "message": "no proxy"}, "log": []}
    async with host(503, away) as client:
        with pytest.raises(HostUnavailable):
            await client.start("p1", SHA, wanted)
    assert host_of(URL) == "app-main.localhost"
