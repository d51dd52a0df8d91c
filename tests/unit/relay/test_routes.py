"""The internal routes over HTTP: who is let in, what goes wrong how, and one arc through them all."""

from contextlib import asynccontextmanager

import httpx
import pytest

from sidecar.domain.errors import BusUnavailable
from sidecar.domain.session import SessionStatus
from sidecar.relay.app import create_app
from sidecar.relay.internal import children, sessions, state, wakes, work
from sidecar.wire.claim import ClaimAnswer

OWN = [
    (method, route.path)
    for module in (sessions, wakes, children, work, state)
    for route in module.routes
    for method in route.methods - {"HEAD"}
]


@pytest.fixture
async def http(desk):
    @asynccontextmanager
    async def build():
        yield desk.services

    app = create_app(build)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://relay") as client,
    ):
        yield client


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def activation_token(desk):
    return bearer(desk.services.settings.activation_token_file.read_text())


async def claimed(desk, http, **fields):
    body = {"flow_run_id": await desk.run(), "nonce": "nonce-of-a-process"} | fields
    answer = await http.post("/internal/sessions/claim", json=body, headers=activation_token(desk))
    assert answer.status_code == 200, answer.text
    bundle = ClaimAnswer.model_validate_json(answer.content).bundle
    holder = f"{body['flow_run_id']}/{body['nonce']}"
    return bundle.session_id, holder, bearer(bundle.token.get_secret_value())


@pytest.mark.parametrize(("method", "path"), OWN)
async def test_no_internal_route_lets_anybody_in_without_its_own_token(desk, http, method, path):
    path = path.format(id="s", child="c", wake_id="w")
    operator = desk.services.settings.operator_token_file.read_text()
    for headers in ({}, bearer("x"), bearer(operator), {"authorization": "Basic eDp5"}):
        answer = await http.request(method, path, headers=headers, json={})
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthenticated"


async def test_one_sessions_token_does_not_open_anothers_routes(desk, http):
    _, _, mine = await claimed(desk, http, agent="worker")
    other, _, _ = await claimed(desk, http, agent="worker")
    answer = await http.get(f"/internal/sessions/{other}/wakes", headers=mine)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


async def test_bad_input_is_refused_with_every_field_at_once(desk, http):
    _, _, token = await claimed(desk, http, agent="boss")
    body = {"child_agent_id": 3, "spec": {"repo": "x", "path": "p", "commit": "c"}}
    answer = await http.post("/internal/sessions", json=body, headers=token)
    assert answer.status_code == 422
    paths = {each["path"] for each in answer.json()["error"]["findings"]}
    assert paths == {"child_agent_id", "spec.repo", "spec.commit"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b"x" * (2 << 20)])
async def test_a_body_that_is_no_request_is_refused(desk, http, body):
    sid, _, token = await claimed(desk, http, agent="boss")
    answer = await http.post(f"/internal/sessions/{sid}/messages", content=body, headers=token)
    assert answer.status_code == 422


async def test_a_fault_of_ours_tells_nothing_about_itself(desk, http, monkeypatch):
    sid, _, token = await claimed(desk, http, agent="boss")

    def broken():
        raise ValueError("secret detail")

    monkeypatch.setattr(desk.services.store, "transaction", broken)
    answer = await http.get(f"/internal/sessions/{sid}/wakes", headers=token)
    assert answer.status_code == 500
    assert "secret detail" not in answer.text


async def test_readiness_says_what_is_waited_for(desk, http, monkeypatch):
    assert (await http.get("/readyz")).json() == {"ready": True, "waits_for": {}}

    async def away():
        raise BusUnavailable("nobody listens at the bus")

    monkeypatch.setattr(desk.bus, "ping", away)
    desk.prefect.is_away = True
    answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert set(answer.json()["waits_for"]) == {"bus", "prefect"}
    assert (await http.get("/healthz")).status_code == 200


async def test_a_claim_while_prefect_is_away_is_worth_repeating(desk, http):
    desk.prefect.is_away = True
    body = {"flow_run_id": "r", "nonce": "nonce-of-a-process", "agent": "boss"}
    answer = await http.post("/internal/sessions/claim", json=body, headers=activation_token(desk))
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


async def test_a_session_lives_through_its_routes(desk, http):
    boss, holder, token = await claimed(desk, http, agent="boss", text="go")
    own = f"/internal/sessions/{boss}"
    [wake] = (await http.get(f"{own}/wakes", headers=token)).json()["wakes"]
    for receipt in ("delivered", "read"):
        report = {"holder": holder, "wake_ids": [wake["id"]], "receipt": receipt}
        assert (
            await http.post(f"{own}/wakes/receipts", json=report, headers=token)
        ).status_code == 200
    spawned = await http.post(
        "/internal/sessions",
        json={"child_agent_id": "worker", "brief": "do"},
        headers={**token, "idempotency-key": "k"},
    )
    assert spawned.status_code == 201
    child = spawned.json()["session_id"]
    listed = (await http.get(f"{own}/children", headers=token)).json()["children"]
    assert [(each["session_id"], each["status"]) for each in listed] == [(child, "pending")]
    output = await http.get(f"/internal/sessions/{child}/events?limit=1", headers=token)
    assert output.json()["last_seq"] == 1
    said = await http.post(
        f"{own}/messages", json={"to": child, "text": "nul \x00 in here"}, headers=token
    )
    sent = said.json()["wake_id"]
    status = (await http.get(f"{own}/messages/{sent}", headers=token)).json()
    assert status["receipt"] == "accepted"
    renewed = await http.put(f"{own}/lease", json={"holder": holder}, headers=token)
    assert renewed.json()["unread"] == 1
    stopped = await http.post(
        f"/internal/sessions/{child}/cancel", json={"reason": "enough"}, headers=token
    )
    assert stopped.json() == {"status": "cancelled"}
    wanted = {"secrets": ["NOT_THERE", "../operator"]}
    answer = await http.post("/internal/preconditions", json=wanted, headers=token)
    assert answer.json() == {"configured": [], "missing": ["NOT_THERE", "../operator"]}
    item = await http.post("/internal/items/claim", json={"item": "R-1"}, headers=token)
    assert item.json() == {"claimed": True, "holder": boss}
    cost = await http.get("/internal/costs?scope=tree", headers=token)
    assert cost.json()["usd"] == 0
    ended = await http.post(f"{own}/end", json={"holder": holder, "summary": "ok"}, headers=token)
    assert ended.json()["status"] == "complete"
    assert (await desk.session(boss)).status is SessionStatus.COMPLETE


async def test_a_stranger_is_neither_read_nor_cancelled(desk, http):
    _, _, token = await claimed(desk, http, agent="boss")
    stranger, _, _ = await claimed(desk, http, agent="worker")
    read = await http.get(f"/internal/sessions/{stranger}/events", headers=token)
    stopped = await http.post(
        f"/internal/sessions/{stranger}/cancel", json={"reason": "mine now"}, headers=token
    )
    assert [read.status_code, stopped.status_code] == [403, 403]
    assert (await desk.session(stranger)).cancel_reason is None
