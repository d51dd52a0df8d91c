"""Sessions over the operator's API: lists, abbreviated ids, starts, cancels, wakes."""

from sidecar.domain.agent import AgentKind
from sidecar.domain.ids import new_id
from sidecar.domain.session import ActivationState
from sidecar.relay import activating

ONE = "0190a000-0000-7000-8000-00000000aaaa"
TWO = "0190a000-0000-7000-8000-00000000bbbb"


async def test_a_list_says_where_each_session_stands_and_where_to_look(desk, http):
    parent = await desk.session("boss")
    child = await desk.session("worker", parent_session_id=parent.id, depth=1)
    await activating.request_missing(desk.services)
    found = (await http.get("/api/sessions")).json()["sessions"]
    by_id = {each["id"]: each for each in found}
    assert by_id[child.id]["parent_session_id"] == parent.id
    assert by_id[child.id]["root_session_id"] == parent.id
    row = by_id[parent.id]
    assert row["url"] == f"http://relay/sessions/{parent.id}"
    assert row["status"] == "pending"
    assert row["flow_run_url"] == f"http://prefect/runs/flow-run/{row['flow_run_id']}"


async def test_a_session_that_waits_for_room_says_so_in_the_api_and_on_its_pages(
    desk, http, browser
):
    session = await desk.session("worker")
    reason = "queued: quota, position 2 of 5; exceeded quota: <sessions>"
    await desk.activation(session, ActivationState.REQUESTED, queued_reason=reason)
    (row,) = (await http.get("/api/sessions")).json()["sessions"]
    assert row["waits_for"] == reason
    shown = "queued: quota, position 2 of 5; exceeded quota: &lt;sessions&gt;"
    for page in ("/", f"/sessions/{session.id}"):
        assert shown in (await browser.get(page)).text


async def test_a_session_that_is_tried_again_says_why_the_last_try_failed(desk, http, browser):
    session = await desk.session("worker", failures=2)
    fault = "its pod cannot start: image x1/agent:9 cannot be pulled"
    await desk.activation(session, ActivationState.ENDED, end_reason=fault)
    await desk.activation(session, ActivationState.REQUESTED)
    assert (await http.get(f"/api/sessions/{session.id}")).json()["last_failure"] == fault
    page = (await browser.get(f"/sessions/{session.id}")).text
    assert f"Tried 2 of 5 times: {fault}" in page


async def test_a_session_that_took_a_turn_has_no_failure_to_tell(desk, http):
    session = await desk.session("worker")
    await desk.activation(session, ActivationState.ENDED, end_reason="parked")
    assert (await http.get(f"/api/sessions/{session.id}")).json()["last_failure"] is None


async def test_filters_choose_by_status_agent_and_tree(desk, http):
    parent = await desk.session("boss")
    await desk.session("worker", parent_session_id=parent.id)
    other = await desk.session("worker")
    await desk.ended(other, 1)

    async def agents(query):
        return [each["agent"] for each in (await http.get(query)).json()["sessions"]]

    assert await agents("/api/sessions?status=complete") == ["worker"]
    assert await agents("/api/sessions?agent=boss") == ["boss"]
    assert sorted(await agents(f"/api/sessions?root={parent.id}")) == ["boss", "worker"]
    wrong = await http.get("/api/sessions?status=happy")
    assert wrong.status_code == 422
    assert "parked" in wrong.json()["error"]["message"]


async def test_an_id_may_be_abbreviated_at_either_end(desk, http):
    await desk.session("one", id=ONE)
    await desk.session("two", id=TWO)
    assert (await http.get("/api/sessions/bbbb")).json()["agent"] == "two"
    assert (await http.get(f"/api/sessions/{ONE[:34]}")).status_code == 200


async def test_an_ambiguous_id_names_what_it_could_be(desk, http):
    await desk.session("one", id=ONE)
    await desk.session("two", id=TWO)
    answer = await http.get("/api/sessions/0190a000")
    assert answer.status_code == 422
    assert ONE in answer.json()["error"]["message"]
    assert TWO in answer.json()["error"]["message"]
    assert (await http.get("/api/sessions/abc")).status_code == 422
    assert (await http.get("/api/sessions/ffff")).status_code == 404
    assert (await http.get(f"/api/sessions/{new_id()}")).status_code == 404


async def test_a_start_begins_a_session_whose_first_wake_is_the_text(desk, http):
    await desk.agent("worker")
    answer = await http.post("/api/sessions", json={"agent": "worker", "text": "build it"})
    assert answer.status_code == 201
    started = answer.json()
    assert started["outcome"] == "started"
    wakes = (await http.get(f"/api/wakes?session_id={started['session_id']}")).json()["wakes"]
    assert [(wake["id"], wake["text"]) for wake in wakes] == [(started["wake_id"], "build it")]
    await activating.request_missing(desk.services)
    shown = (await http.get(f"/api/sessions/{started['session_id']}")).json()
    assert shown["flow_run_id"]
    assert shown["triggered_by_name"] == "operator:operator"


async def test_starting_a_live_orchestrator_wakes_it(desk, http):
    await desk.agent("boss", AgentKind.ORCHESTRATOR)
    first = (await http.post("/api/sessions", json={"agent": "boss"})).json()
    second = (await http.post("/api/sessions", json={"agent": "boss", "text": "again"})).json()
    assert second["outcome"] == "woken"
    assert second["session_id"] == first["session_id"]
    assert second["wake_id"] != first["wake_id"]


async def test_an_unknown_agent_does_not_start(http):
    answer = await http.post("/api/sessions", json={"agent": "nobody"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "agent_unknown"


async def test_a_cancel_ends_a_session_that_nobody_runs(desk, http):
    session = await desk.session()
    answer = await http.post(f"/api/sessions/{session.id}/cancel", json={"reason": "enough"})
    assert answer.json() == {"session_id": session.id, "status": "cancelled"}
    again = await http.post(f"/api/sessions/{session.id}/cancel", json={"reason": "enough"})
    assert again.json()["status"] == "cancelled"
    audit = (await http.get("/api/audit")).json()["audit"]
    assert [(entry["action"], entry["actor"]) for entry in audit][:1] == [
        ("cancel", "operator:operator")
    ]


async def test_saying_something_is_a_wake_and_an_event_once_per_key(desk, http):
    session = await desk.session()
    body = {"session_id": session.id[-8:], "text": "hello"}
    key = {"idempotency-key": "k"}
    first = await http.post("/api/wakes", json=body, headers=key)
    second = await http.post("/api/wakes", json=body, headers=key)
    assert first.status_code == 201
    assert first.json()["id"] == second.json()["id"]
    events = (await http.get(f"/api/sessions/{session.id}/events?types=user.message")).json()
    assert [event["payload"]["text"] for event in events["events"]] == ["hello"]


async def test_an_ended_session_takes_no_words(desk, http):
    session = await desk.session()
    await desk.ended(session, 1)
    answer = await http.post("/api/wakes", json={"session_id": session.id, "text": "hello"})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "session_ended"
