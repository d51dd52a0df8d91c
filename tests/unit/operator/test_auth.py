"""Who is let in: the operator, and nobody who speaks for a session, an activation or an operation."""

import pytest

from sidecar.domain.ids import ActivationId, OperationId, SessionId, new_id
from sidecar.relay.operator.routes import endpoints

TABLE = [(each.method, each.path) for each in endpoints]


def bearer(token):
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("method", "path"), TABLE)
async def test_no_operator_route_takes_any_other_token(desk, anybody, method, path):
    tokens = desk.services.tokens
    session = tokens.mint_session(SessionId(new_id()), ActivationId(new_id()), 1)
    operation = tokens.mint_operation(OperationId(new_id()), 1)
    for headers in (
        {},
        bearer("x"),
        bearer(session.get_secret_value()),
        bearer(operation.get_secret_value()),
        bearer("the-activation-token"),
        {"authorization": "Basic eDp5"},
        {"cookie": f"x1_operator={session.get_secret_value()}"},
        {"cookie": "x1_operator=the-operator-token"},
    ):
        answer = await anybody.request(method, path.format(id="abcd"), headers=headers, json={})
        assert answer.status_code == 401, (headers, answer.text)
        assert answer.json()["error"]["code"] == "unauthenticated"


async def test_metrics_let_everybody_in_and_name_nobody(desk, anybody):
    session = await desk.session("secret-agent")
    answer = await anybody.get("/metrics")
    assert answer.status_code == 200
    assert 'x1_sessions{status="pending"} 1.0' in answer.text
    assert "x1_store_up 1.0" in answer.text
    assert session.id not in answer.text
    assert "secret-agent" not in answer.text


async def test_a_cookie_changes_things_only_from_our_own_pages(desk, browser):
    session = await desk.session()
    body = {"session_id": session.id, "text": "hello"}
    for origin in ("http://evil", "null", "https://relay"):
        answer = await browser.post("/api/wakes", json=body, headers={"origin": origin})
        assert answer.status_code == 403
    del browser.headers["origin"]
    assert (await browser.post("/api/wakes", json=body)).status_code == 403
    own = await browser.post("/api/wakes", json=body, headers={"origin": "http://relay"})
    assert own.status_code == 201
