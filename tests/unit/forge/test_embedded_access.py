"""The embedded forge's doors: what each token opens, over REST and over git's HTTP alike."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from called_forge import Embedded
from embedded_forge import ADMIN, APP_ID, app_key

from infra.local.forge import tokens as tokens_module
from infra.local.forge.tokens import Tokens

READS = ["/repos/acme/app", "/repos/acme/app/branches/main", "/repos/acme/app/contents/a"]
PACK = "/acme/app.git/git-receive-pack"
REFS = "/acme/app.git/info/refs"


def basic(headers: dict[str, str]) -> dict[str, str]:
    token = headers["authorization"].partition(" ")[2]
    return {"authorization": "Basic " + b64encode(f"x-access-token:{token}".encode()).decode()}


@pytest.mark.parametrize("path", [*READS, "/repos/acme/nowhere"])
@pytest.mark.parametrize(
    "presented", ["", "Bearer", "Bearer ghs_guess", f"Basic {ADMIN}", "Bearer é"]
)
async def test_without_a_token_nothing_is_told(embedded: Embedded, path: str, presented: str):
    headers = {b"authorization": presented.encode()} if presented else {}
    answer = await embedded.http.get(path, headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


async def test_a_token_opens_no_other_repository(embedded: Embedded):
    headers = embedded.bearer("acme/other")
    for path in READS:
        answer = await embedded.http.get(path, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["message"] == "Resource not accessible by integration"
    pull = await embedded.http.get(REFS, params="service=git-upload-pack", headers=basic(headers))
    assert pull.status_code == 403


async def test_a_token_that_reads_does_not_write(embedded: Embedded):
    headers = embedded.bearer("acme/app", contents="read")
    for method, path in (
        ("POST", "/repos/acme/app/merges"),
        ("POST", "/repos/acme/app/pulls"),
        ("PUT", "/repos/acme/app/pulls/1/merge"),
    ):
        assert (await embedded.http.request(method, path, headers=headers)).status_code == 403
    for asked in (
        embedded.http.post(PACK, headers=basic(headers)),
        embedded.http.get(REFS, params="service=git-receive-pack", headers=basic(headers)),
    ):
        answer = await asked
        assert (answer.status_code, answer.text) == (403, "The token may not write acme/app.\n")


async def test_a_token_without_contents_opens_nothing(embedded: Embedded):
    headers = embedded.bearer("acme/app", pull_requests="write")
    assert (await embedded.http.get("/repos/acme/app", headers=headers)).status_code == 403


async def test_a_token_that_has_expired_opens_nothing(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tokens_module, "LIFETIME", timedelta(seconds=-1))
    headers = embedded.bearer("acme/app")
    assert (await embedded.http.get("/repos/acme/app", headers=headers)).status_code == 401
    pull = await embedded.http.get(REFS, params="service=git-upload-pack", headers=basic(headers))
    assert pull.status_code == 401
    assert pull.headers["www-authenticate"].startswith("Basic")


async def test_tokens_outlive_a_restart_and_the_file_gives_none_away(embedded: Embedded):
    headers = embedded.bearer("acme/app")
    token = headers["authorization"].removeprefix("Bearer ")
    file = embedded.root / "tokens.json"
    again = Tokens(file, app_id=APP_ID, app_public_key=app_key().public, admin_token=ADMIN)
    found = again.find(token)
    assert found is not None
    assert found.repositories == ("acme/app",)
    assert datetime.fromisoformat(found.expires_at) > datetime.now(UTC)
    assert token not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("presented", ["", "Bearer ", "Bearer admin", f"Bearer {ADMIN}x"])
async def test_only_the_admin_makes_repositories(embedded: Embedded, presented: str):
    headers = {"authorization": presented} if presented else {}
    named = {"full_name": "acme/new"}
    answer = await embedded.http.post("/admin/repos", headers=headers, json=named)
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")
    assert not (embedded.root / "acme/new.git").exists()


async def test_an_installations_token_is_no_admins(embedded: Embedded):
    headers = embedded.bearer("acme/app")
    named = {"full_name": "acme/new"}
    answer = await embedded.http.post("/admin/repos", headers=headers, json=named)
    assert answer.status_code == 401


def test_an_empty_admin_token_would_open_every_door_and_is_not_taken(embedded: Embedded):
    with pytest.raises(ValueError, match="admin token is empty"):
        Tokens(
            embedded.root / "t.json", app_id=APP_ID, app_public_key=app_key().public, admin_token=""
        )
