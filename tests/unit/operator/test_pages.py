"""Pages: who sees them, what they never let through, and what their forms do."""

import re
from pathlib import Path

import pytest

from sidecar.domain.event import EventType
from sidecar.domain.ids import EvidenceId, PreviewId, Repository, RequestId, Revision, new_id
from sidecar.domain.preview import Evidence, Preview, PreviewStatus
from sidecar.domain.request import HumanRequest, RequestKind
from sidecar.relay import pages

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
PAGES = ["/", "/previews", "/agents", "/approvals", "/grants", "/audit"]
TOKEN = "the-operator-token"


async def token_of(browser, path="/"):
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', (await browser.get(path)).text)
    assert found
    return found[1]


@pytest.mark.parametrize("path", [*PAGES, "/sessions/abcd", "/previews/abcd"])
async def test_whoever_has_not_signed_in_is_led_there_and_back(anybody, path):
    answer = await anybody.get(path)
    assert answer.status_code == 303
    asked = await anybody.get(answer.headers["location"])
    assert f'name="next" value="{path}"' in asked.text
    sent = {"token": TOKEN, "next": path}
    back = await anybody.post("/login", data=sent, headers={"origin": "http://relay"})
    assert back.headers["location"] == path


async def test_the_cookie_is_for_this_site_and_no_script(anybody):
    answer = await anybody.post("/login", data={"token": TOKEN})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie


async def test_a_wrong_token_lets_nobody_in(anybody):
    answer = await anybody.post("/login", data={"token": "guess"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    foreign = await anybody.post("/login", data={"token": TOKEN}, headers={"origin": "http://evil"})
    assert foreign.status_code == 403


@pytest.mark.parametrize("away", ["//evil", "/\\evil", "http://evil", "javascript:x", "/\t/evil"])
async def test_signing_in_never_leads_away(anybody, away):
    answer = await anybody.post("/login", data={"token": TOKEN, "next": away})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("path", PAGES)
async def test_pages_run_nothing_but_our_own_files(browser, path):
    answer = await browser.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<style" not in answer.text
    assert not re.search(r"<script(?! src=\"/static/)", answer.text)
    assert not re.search(r"\s(on\w+|style)=", answer.text)


FORMS = [
    route.path
    for route in pages.routes
    if "POST" in (getattr(route, "methods", None) or ()) and route.path != "/login"
]


@pytest.mark.parametrize("path", FORMS)
async def test_no_form_is_taken_without_its_token(desk, browser, path):
    session = await desk.session()
    for csrf in ("", "0" * 64):
        answer = await browser.post(path.format(id=session.id), data={"csrf": csrf, "text": "x"})
        assert answer.status_code == 403
    assert (await desk.read(session)).status == "pending"


async def test_another_visit_has_another_form_token(desk, browser):
    first = await token_of(browser)
    desk.clock.time = desk.clock.time.replace(year=desk.clock.time.year + 1)
    await browser.post("/login", data={"token": TOKEN})
    assert await token_of(browser) != first


async def test_a_session_is_spoken_to_and_cancelled_by_forms(desk, browser):
    session = await desk.session()
    csrf = await token_of(browser)
    said = {"csrf": csrf, "text": "one\r\ntwo"}
    answer = await browser.post(f"/sessions/{session.id}/say", data=said)
    assert answer.status_code == 303
    (wake,) = (await browser.get(f"/api/wakes?session_id={session.id}")).json()["wakes"]
    assert wake["text"] == "one\ntwo"
    reason = {"csrf": csrf, "reason": "enough"}
    await browser.post(f"/sessions/{session.id}/cancel", data=reason)
    assert (await desk.read(session)).status == "cancelled"
    assert (await browser.post(f"/sessions/{session.id}/say", data=said)).status_code == 409


async def test_an_agent_is_started_and_rights_are_given_by_forms(desk, browser):
    await desk.agent("worker")
    csrf = await token_of(browser)
    answer = await browser.post("/sessions", data={"csrf": csrf, "agent": "worker", "text": ""})
    assert answer.headers["location"].startswith("/sessions/")
    right = {"agent": "worker", "type": "push", "target": "acme/app", "scope": "persistent"}
    await browser.post("/grants", data=right | {"csrf": csrf})
    (grant,) = (await browser.get("/api/grants")).json()["grants"]
    await browser.post(f"/grants/{grant['id']}/revoke", data={"csrf": csrf})
    assert (await browser.get("/api/grants")).json()["grants"][0]["revoked_at"]
    wrong = await browser.post("/grants", data=right | {"csrf": csrf, "type": "everything"})
    assert wrong.status_code == 422


async def hostile(desk):
    session = await desk.session(
        "worker", summary=HOSTILE, item=HOSTILE, branch=HOSTILE, brief=HOSTILE
    )
    await desk.agent("worker", description=HOSTILE)
    preview = Preview(
        id=PreviewId(new_id()),
        workspace="default",
        repo=Repository("acme/app"),
        branch=HOSTILE,
        revision=Revision("a" * 40),
        owner_session_id=session.id,
        root_session_id=session.id,
        status=PreviewStatus.READY,
        url="javascript:alert(1)",
        alias_url="data:text/html,x",
        diagnosis=HOSTILE,
        created_at=desk.clock(),
        updated_at=desk.clock(),
    )
    question = HumanRequest(
        id=RequestId(new_id()),
        session_id=session.id,
        kind=RequestKind.INPUT,
        question=HOSTILE,
        options=(HOSTILE,),
        created_at=desk.clock(),
    )
    async with desk.services.store.transaction() as tx:
        await tx.previews.insert(preview)
        await tx.previews.append_log(preview.id, "app", [HOSTILE])
        await tx.requests.insert(question)
    await desk.note(session, EventType.AGENT_TEXT, text=HOSTILE)
    return [f"/sessions/{session.id}", f"/previews/{preview.id}"]


async def test_hostile_text_stays_text_on_every_page(desk, browser):
    more = await hostile(desk)
    for path in [*PAGES, *more]:
        text = (await browser.get(path)).text
        assert "<script>" not in text, path
        assert "<img" not in text, path
        assert 'href="javascript' not in text, path
        assert 'href="data:' not in text, path


async def test_what_is_not_there_is_a_page_that_says_so(browser):
    answer = await browser.get(f"/sessions/{new_id()}")
    assert answer.status_code == 404
    assert "session_unknown" in answer.text
    assert answer.headers["content-type"].startswith("text/html")


async def test_an_abbreviated_id_leads_to_the_whole_address(desk, browser):
    session = await desk.session()
    answer = await browser.get(f"/sessions/{session.id[-8:]}")
    assert answer.headers["location"] == f"/sessions/{session.id}"


async def test_a_child_hangs_below_its_caller_and_both_link_to_each_other(desk, browser):
    parent = await desk.session("boss")
    child = await desk.session("worker", parent_session_id=parent.id)
    text = (await browser.get("/")).text
    assert text.index(f"/sessions/{parent.id}") < text.index(f"/sessions/{child.id}")
    assert "level-1" in text
    assert f'href="/sessions/{child.id}"' in (await browser.get(f"/sessions/{parent.id}")).text
    assert f'href="/sessions/{parent.id}"' in (await browser.get(f"/sessions/{child.id}")).text


def test_the_script_puts_foreign_words_into_pages_as_text_alone():
    script = (Path(pages.__file__).parent / "static" / "x1.js").read_text()
    code = re.sub(r"/\*.*?\*/", "", script, flags=re.DOTALL)
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert way not in code


async def test_a_preview_says_whether_what_it_serves_was_verified(desk, browser):
    session = await desk.session("worker")
    preview = Preview(
        id=PreviewId(new_id()),
        workspace="default",
        repo=Repository("acme/app"),
        branch="feat/home",
        revision=Revision("b" * 40),
        serving=Revision("b" * 40),
        owner_session_id=session.id,
        root_session_id=session.id,
        status=PreviewStatus.READY,
        url="http://app-feat-home.localhost:8800",
        alias_url="http://app-bbbbbbbb.localhost:8800",
        created_at=desk.clock(),
        updated_at=desk.clock(),
    )
    pages = ["/", "/previews", f"/sessions/{session.id}"]
    async with desk.services.store.transaction() as tx:
        await tx.previews.insert(preview)
    for path in pages:
        text = (await browser.get(path)).text
        assert preview.url in text
        assert "not verified" in text
    async with desk.services.store.transaction() as tx:
        await tx.evidence.insert(
            Evidence(
                id=EvidenceId(new_id()),
                preview_id=preview.id,
                session_id=session.id,
                repo=preview.repo,
                branch=preview.branch,
                revision=preview.revision,
                passed=True,
                results=({"path": "/", "passed": True},),
                created_at=desk.clock(),
            )
        )
    for path in pages:
        assert "verified, 1 check" in (await browser.get(path)).text
