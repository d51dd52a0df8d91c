"""The embedded forge's addresses: names that leave the root, routes that are not there, and how it says no."""

from base64 import b64encode

import pytest
from called_forge import Embedded
from embedded_forge import ADMIN

ADMINS = {"authorization": f"Bearer {ADMIN}"}
GITS = {"authorization": "Basic " + b64encode(f"x-access-token:{ADMIN}".encode()).decode()}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/repos/acme/nowhere"),
        ("GET", "/repos/acme"),
        ("GET", "/repos/acme/app/unknown"),
        ("DELETE", "/repos/acme/app"),
        ("POST", "/repos/acme/app/branches"),
        ("GET", "/repos/acme/app/pulls/one"),
        ("GET", "/repos/acme/app/pulls/1"),
        ("GET", "/app/unknown"),
        ("GET", "/app/installations/1/access_tokens"),
        ("GET", "/admin/repos"),
        ("GET", "/a/b/c/d"),
        ("PATCH", "/"),
    ],
)
async def test_what_is_not_there_is_told_as_github_tells_it(
    embedded: Embedded, method: str, path: str
):
    answer = await embedded.http.request(method, path, headers=ADMINS)
    assert answer.status_code in {404, 405}
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"message", "documentation_url", "status"}
    assert answer.json()["status"] == str(answer.status_code)


@pytest.mark.parametrize(
    "name",
    [
        *("%2e%2e/app", "acme/%2e%2e", "acme/.git", "acme/...git", "acme/app%00", "-acme/app"),
        *("acme/%2e%2e%2facme%2fapp", "acme/app%0a", "acme/a%3Fb", "tokens.json/app"),
    ],
)
async def test_no_name_leaves_the_root(embedded: Embedded, name: str):
    (embedded.root.parent / "app.git").mkdir(exist_ok=True)
    for path in (f"/repos/{name}", f"/repos/{name}/branches/main"):
        assert (await embedded.http.get(path, headers=ADMINS)).status_code == 404
    git = await embedded.http.get(f"/{name}/info/refs?service=git-upload-pack", headers=GITS)
    assert git.status_code in {403, 404}


@pytest.mark.parametrize("sign", ["%3F", "%23", "%3f/x/info/refs%23"])
async def test_a_sign_in_a_name_is_no_query(embedded: Embedded, sign: str):
    path = f"/ac{sign}me/app.git/info/refs?service=git-upload-pack"
    answer = await embedded.http.get(path, headers=GITS)
    assert answer.status_code in {403, 404}


@pytest.mark.parametrize(
    "path",
    [
        "/acme/app.git/info/refs",
        "/acme/app.git/info/refs?service=git-archive",
        "/acme/app/x/info/refs",
    ],
)
async def test_only_smart_http_is_served(embedded: Embedded, path: str):
    answer = await embedded.http.get(path, headers=GITS)
    assert (answer.status_code, answer.text) == (403, "only smart HTTP is served here\n")


async def test_git_is_told_nothing_of_repositories_without_a_password(embedded: Embedded):
    for name in ("app", "nowhere"):
        for presented in ({}, {"authorization": "Basic ?"}, {"authorization": "Bearer x"}):
            path = f"/acme/{name}.git/info/refs?service=git-upload-pack"
            answer = await embedded.http.get(path, headers=presented)
            assert answer.status_code == 401


@pytest.mark.parametrize(
    "name",
    ["app", "acme/", "/app", "../app", "acme/..", "a/b/c", "acme/a b", "-a/b", "a/é", "acme/.git"],
)
async def test_a_name_that_github_would_not_take_makes_no_repository(embedded: Embedded, name: str):
    answer = await embedded.http.post("/admin/repos", headers=ADMINS, json={"full_name": name})
    assert answer.status_code == 422
    assert "expected owner/name" in answer.json()["message"]


async def test_a_name_with_the_ending_is_the_name_without(embedded: Embedded):
    named = {"full_name": "acme/app.git"}
    answer = await embedded.http.post("/admin/repos", headers=ADMINS, json=named)
    assert (answer.status_code, answer.json()["full_name"]) == (201, "acme/app")
