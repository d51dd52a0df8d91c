"""What only a human does: agents applied with their grants, grants, answers, the books."""

from sidecar.domain.grant import GrantType
from sidecar.domain.ids import RequestId, new_id
from sidecar.domain.request import HumanRequest, RequestKind

BOSS = """\
slug: boss
kind: orchestrator
runtime: scripted
script: {file: boss.script.yaml}
repos: [{repo: acme/app, allow_push: true, allow_merge: true}]
spawns: [worker]
"""


def files(text=BOSS, **texts):
    return {"files": [{"path": "boss.yaml", "text": text}], "texts": texts}


PLAYABLE = "version: 1\non: [{name: any, do: [{say: hi}]}]\n"
READY = files(**{"boss.script.yaml": PLAYABLE})


async def test_a_plan_shows_what_applying_would_change_and_changes_nothing(http):
    planned = (await http.post("/api/agents/plan", json=READY)).json()
    assert not planned["applied"]
    (change,) = planned["changes"]
    assert (change["agent"], change["action"]) == ("boss", "create")
    assert [(each["type"], each["target"]) for each in change["grants"]] == [
        ("spawn", "worker"),
        ("push", "acme/app"),
        ("merge", "acme/app"),
    ]
    assert (await http.get("/api/agents")).json() == {"agents": []}


async def test_applying_writes_the_agent_and_its_grants_once(http):
    assert (await http.post("/api/agents/apply", json=READY)).json()["applied"]
    again = (await http.post("/api/agents/apply", json=READY)).json()
    assert again["changes"] == []
    assert again["unchanged"] == ["boss"]
    grants = (await http.get("/api/grants")).json()["grants"]
    assert len(grants) == 3
    assert {grant["granted_by"] for grant in grants} == {"operator:operator"}
    assert [each["slug"] for each in (await http.get("/api/agents")).json()["agents"]] == ["boss"]


async def test_a_changed_file_names_its_fields_and_what_is_no_longer_asked_for(http):
    await http.post("/api/agents/apply", json=READY)
    text = BOSS.replace("spawns: [worker]", "description: New.")
    body = files(text, **{"boss.script.yaml": PLAYABLE})
    (change,) = (await http.post("/api/agents/plan", json=body)).json()["changes"]
    assert change["action"] == "update"
    assert change["fields"] == ["description", "spawns"]
    assert change["unasked"] == [{"type": "spawn", "target": "worker"}]


async def test_who_may_be_spawned_and_is_no_agent_is_named_until_it_is_one(http):
    for verb in ("plan", "apply", "apply"):
        answer = (await http.post(f"/api/agents/{verb}", json=READY)).json()
        assert answer["unknown"] == [{"agent": "boss", "target": "worker"}]
    worker = {"path": "worker.yaml", "text": "slug: worker\nkind: worker\nruntime: claude-code\n"}
    both = {**READY, "files": [*READY["files"], worker]}
    assert (await http.post("/api/agents/plan", json=both)).json()["unknown"] == []
    await http.post("/api/agents/apply", json={"files": [worker]})
    assert (await http.post("/api/agents/plan", json=READY)).json()["unknown"] == []


async def test_the_errors_of_all_files_come_at_once_and_nothing_is_written(http):
    body = files()
    body["files"].append({"path": "other.yaml", "text": "slug: Other\n"})
    answer = await http.post("/api/agents/apply", json=body)
    assert answer.status_code == 422
    found = {(each["path"], each["line"]) for each in answer.json()["error"]["findings"]}
    assert ("boss.yaml: script.file", 4) in found
    assert ("other.yaml: slug", 1) in found
    assert ("other.yaml: kind", 1) in found
    assert (await http.get("/api/agents")).json() == {"agents": []}


async def test_what_is_no_text_is_a_finding_beside_the_others(http):
    body = files()
    body["files"].append({"path": "other.yaml", "text": ""})
    body["files"].append({"path": "third.yaml", "text": "slug: Third\n"})
    body["unreadable"] = {"boss.script.yaml": "byte 7 is none", "other.yaml": "byte 9 is none"}
    answer = await http.post("/api/agents/apply", json=body)
    found = {each["path"]: each["message"] for each in answer.json()["error"]["findings"]}
    assert found["boss.yaml: script.file"] == "cannot read 'boss.script.yaml': byte 7 is none"
    assert found["other.yaml"] == "byte 9 is none"
    assert "third.yaml: slug" in found


async def test_a_script_that_cannot_be_played_is_refused_with_all_its_findings(http):
    script = "version: 2\non:\n  - do: [{shout: hi}]\n"
    body = files(**{"boss.script.yaml": script})
    for verb in ("plan", "apply"):
        answer = await http.post(f"/api/agents/{verb}", json=body)
        assert answer.status_code == 422
        found = {(each["path"], each["line"]) for each in answer.json()["error"]["findings"]}
        assert {("boss.yaml: script: version", 1), ("boss.yaml: script: on[0].do[0]", 3)} <= found
    assert (await http.get("/api/agents")).json() == {"agents": []}


async def test_an_agent_of_a_workspace_that_the_installation_does_not_have_is_refused(desk, http):
    desk.services.settings.workspaces = ("default", "team-b")
    script = {"boss.script.yaml": PLAYABLE}
    for verb in ("plan", "apply"):
        body = files(BOSS + "workspace: team-c\n", **script)
        answer = await http.post(f"/api/agents/{verb}", json=body)
        assert answer.status_code == 422
        (found,) = answer.json()["error"]["findings"]
        assert found["path"] == "boss.yaml: workspace"
        assert "team-c is not among the installation's" in found["message"]
        assert "x1 cluster upgrade" in found["message"]
    assert (await http.get("/api/agents")).json() == {"agents": []}
    body = files(BOSS + "workspace: team-b\n", **script)
    assert (await http.post("/api/agents/apply", json=body)).json()["applied"]


async def test_on_one_machine_every_workspace_is_there(desk, http):
    assert desk.services.settings.workspaces == ()
    body = files(BOSS + "workspace: any\n", **{"boss.script.yaml": PLAYABLE})
    assert (await http.post("/api/agents/apply", json=body)).json()["applied"]


async def test_a_grant_is_given_once_and_taken_back(desk, http):
    await desk.agent("boss")
    body = {"agent": "boss", "type": "merge", "target": "acme/app"}
    given = (await http.post("/api/grants", json=body)).json()
    assert (await http.post("/api/grants", json=body)).json()["id"] == given["id"]
    revoked = (await http.post(f"/api/grants/{given['id']}/revoke")).json()
    assert revoked["revoked_at"]
    assert (await http.post(f"/api/grants/{given['id']}/revoke")).json() == revoked
    fresh = (await http.post("/api/grants", json=body)).json()
    assert fresh["id"] != given["id"]
    assert (await http.post("/api/grants/nope/revoke")).status_code == 404


async def test_a_grant_for_one_session_names_it_and_others_do_not(desk, http):
    await desk.agent("boss")
    body = {"agent": "boss", "type": "push", "target": "acme/app", "scope": "session"}
    assert (await http.post("/api/grants", json=body)).status_code == 422
    session = await desk.session("boss")
    named = body | {"session_id": session.id}
    assert (await http.post("/api/grants", json=named)).json()["session_id"] == session.id
    wrong = named | {"scope": "persistent"}
    assert (await http.post("/api/grants", json=wrong)).status_code == 422


async def asked(desk, session):
    request = HumanRequest(
        id=RequestId(new_id()),
        session_id=session.id,
        kind=RequestKind.INPUT,
        question="Red or blue?",
        options=("red", "blue"),
        created_at=desk.clock(),
    )
    async with desk.services.store.transaction() as tx:
        await tx.requests.insert(request)
    return request


async def test_an_answer_wakes_the_session_that_asked(desk, http):
    session = await desk.session()
    request = await asked(desk, session)
    (open_one,) = (await http.get("/api/approvals")).json()["approvals"]
    assert (open_one["id"], open_one["status"], open_one["agent"]) == (request.id, "open", "worker")
    path = f"/api/approvals/{request.id}"
    done = await http.post(path, json={"answer": "blue"})
    assert done.json()["status"] == "answered"
    assert (await http.post(path, json={"answer": "blue"})).status_code == 200
    assert (await http.post(path, json={"answer": "red"})).status_code == 409
    (wake,) = (await http.get(f"/api/wakes?session_id={session.id}")).json()["wakes"]
    assert wake["kind"] == "approval"
    assert wake["payload"]["answer"] == "blue"
    assert (await http.get("/api/approvals")).json() == {"approvals": []}


async def test_nobody_is_asked_for_a_session_that_has_ended(desk, http):
    session = await desk.session()
    request = await asked(desk, session)
    await desk.ended(session, 1)
    assert (await http.get("/api/approvals")).json() == {"approvals": []}
    answer = await http.post(f"/api/approvals/{request.id}", json={"answer": "blue"})
    assert answer.status_code == 409


async def test_costs_are_summed_by_agent_and_day(desk, http):
    await desk.session("boss", turns=2)
    await desk.session("boss", turns=1)
    costs = (await http.get("/api/costs")).json()
    assert costs["agents"][0]["sessions"] == 2
    assert costs["agents"][0]["turns"] == 3
    assert (await http.get("/api/costs?day=2020-01-01")).json()["agents"] == []
    assert (await http.get("/api/costs?day=today")).status_code == 422


async def test_every_change_is_in_the_audit(desk, http):
    await http.post("/api/agents/apply", json=READY)
    body = {"agent": "boss", "type": GrantType.MODEL, "target": "big"}
    await http.post("/api/grants", json=body)
    entries = (await http.get("/api/audit")).json()["audit"]
    assert {entry["action"] for entry in entries} == {"apply agent", "grant"}
