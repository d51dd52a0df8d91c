"""A GitHub-shaped forge over HTTPS: api.github.com, GitHub Enterprise Server, or the embedded one.

The App's key signs a short JWT, the JWT finds the repository's installation, and the installation mints a
token narrowed to one repository and one access. https://docs.github.com/en/rest/apps
"""

import asyncio
import ssl
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal, Self
from urllib.parse import quote

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt.algorithms import RSAAlgorithm
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from sidecar.domain.errors import Forbidden, ForgeUnavailable, MergeConflict
from sidecar.domain.ids import Repository, Revision
from sidecar.relay.forge.answers import (
    Branch,
    Commit,
    Comparison,
    Installation,
    Listing,
    MintedToken,
    ShapeT,
    good,
    is_limit,
    is_listing,
    said,
    told,
)
from sidecar.relay.forge.port import MAX_FILE_BYTES, ForgeToken

TIMEOUT_SECONDS: Final = 15.0
JWT_SECONDS: Final = 540
"""GitHub takes ten minutes at most, and clocks differ."""
CLOCK_SKEW_SECONDS: Final = 60
REFRESH_BEFORE: Final = timedelta(minutes=10)
PERMISSIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "read": {"contents": "read"},
    "write": {"contents": "write"},
}
NO_CONTENT, UNAUTHORIZED, NOT_FOUND = 204, 401, 404
MISSING: Final = frozenset({404, 422})
AWAY: Final = frozenset(range(500, 600))

_repeat = retry(
    retry=retry_if_exception_type(ForgeUnavailable),
    stop=stop_after_attempt(3),
    wait=wait_exponential_jitter(multiplier=0.2, max=2),
    reraise=True,
)
"""Three tries: what is away longer is waited for by the caller, who knows whether it may."""

Access = Literal["read", "write"]


class GitHub:
    def __init__(
        self,
        *,
        api_url: str,
        git_url: str,
        app_id: str,
        private_key: str,
        verify: ssl.SSLContext | Literal[True] = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.git_url = git_url.rstrip("/")
        self._app_id = app_id
        self._key = private_key
        self._tokens: dict[tuple[str, Access], ForgeToken] = {}
        self._minting: defaultdict[tuple[str, Access], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._http = httpx.AsyncClient(
            base_url=api_url.rstrip("/"),
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            verify=verify,
            transport=transport,
            headers={"accept": "application/vnd.github+json", "user-agent": "x1flows"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def token(self, repo: Repository, access: Access) -> ForgeToken:
        """One mint at a time and key; a token is renewed when ten minutes of it are left."""
        async with self._minting[repo, access]:
            held = self._tokens.get((repo, access))
            if held is None or held.expires_at - datetime.now(UTC) < REFRESH_BEFORE:
                held = await self._mint(repo, access)
                self._tokens[repo, access] = held
            return held

    async def head(self, repo: Repository, branch: str) -> Revision | None:
        if not branch:
            return None  # the list of all branches would answer
        found = await self._get(repo, f"/branches/{quote(branch, safe='')}", Branch)
        return None if found is None else Revision(found.commit.sha)

    async def is_ancestor(self, repo: Repository, old: Revision, new: Revision) -> bool:
        found = await self._get(repo, f"/compare/{old}...{new}", Comparison)
        return found is not None and found.status in {"ahead", "identical"}

    async def read_file(self, repo: Repository, path: str, revision: Revision) -> bytes | None:
        answer = await self._contents(repo, path, revision)
        if answer is None or is_listing(answer):
            return None
        return answer.content[:MAX_FILE_BYTES]

    async def list_files(
        self, repo: Repository, path: str, revision: Revision
    ) -> Sequence[str] | None:
        answer = await self._contents(repo, path, revision)
        if answer is None or not is_listing(answer):
            return None
        inside = f"{path}/" if path else ""
        entries = told(answer, Listing).root
        return sorted(f"{inside}{each.name}" for each in entries if each.type == "file")

    async def _contents(
        self, repo: Repository, path: str, revision: Revision
    ) -> httpx.Response | None:
        if {".", ".."} & set(path.split("/")):
            return None  # the client would take dots as leaving /contents
        answer = await self._ask(
            "GET",
            repo,
            f"/contents/{quote(path)}",
            params={"ref": revision},
            headers={"accept": "application/vnd.github.raw+json"},
        )
        return None if answer.status_code in MISSING else good(answer)

    async def merge(self, repo: Repository, base: str, head: Revision, message: str) -> Revision:
        asked = {"base": base, "head": head, "commit_message": message}
        answer = await self._ask("POST", repo, "/merges", access="write", json=asked)
        if answer.status_code == NO_CONTENT:
            standing = await self.head(repo, base)
            if standing is None:
                raise MergeConflict(f"{repo} has no branch {base}")
            return standing
        if answer.status_code in {404, 409}:
            raise MergeConflict(f"{repo}: {head[:8]} does not merge into {base}: {said(answer)}")
        return Revision(told(answer, Commit).sha)

    async def _get(self, repo: Repository, path: str, shape: type[ShapeT]) -> ShapeT | None:
        answer = await self._ask("GET", repo, path)
        return None if answer.status_code in MISSING else told(answer, shape)

    async def _ask(
        self,
        method: str,
        repo: Repository,
        path: str,
        *,
        access: Access = "read",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """With a fresh token once, when the forge no longer takes the one that was kept."""
        for _ in range(2):
            token = (await self.token(repo, access)).secret.get_secret_value()
            signed = {"authorization": f"Bearer {token}", **(headers or {})}
            answer = await self._send(method, f"/repos/{repo}{path}", headers=signed, **more)
            if answer.status_code != UNAUTHORIZED:
                return answer
            self._tokens.pop((repo, access), None)
        raise ForgeUnavailable(f"the forge does not take its own token for {repo}")

    async def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Who asks again before the limit's time is over is shut out for longer: that is the caller's wait."""
        answer = await self._exchange(method, path, **more)
        if is_limit(answer):
            pause = answer.headers.get("retry-after", "")
            when = f"in {pause} s" if pause.isdecimal() else "later"
            raise ForgeUnavailable(f"the forge asks to be asked again {when}: {said(answer)}")
        return answer

    @_repeat
    async def _exchange(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, **more)
        except httpx.RequestError as error:
            raise ForgeUnavailable(f"the forge does not answer: {type(error).__name__}") from error
        if answer.status_code in AWAY:
            raise ForgeUnavailable(f"the forge answers {answer.status_code}: {said(answer)}")
        return answer

    async def _mint(self, repo: Repository, access: Access) -> ForgeToken:
        signed = {"authorization": f"Bearer {self._app_jwt()}"}
        found = await self._send("GET", f"/repos/{repo}/installation", headers=signed)
        if found.status_code == NOT_FOUND:
            raise Forbidden(f"the forge App is not installed on {repo}; install it there first")
        installation = told(found, Installation).id
        asked = {"repositories": [repo.split("/")[1]], "permissions": PERMISSIONS[access]}
        path = f"/app/installations/{installation}/access_tokens"
        minted = await self._send("POST", path, json=asked, headers=signed)
        if minted.status_code in {403, 422}:
            raise Forbidden(f"the forge App may not {access} {repo}: {said(minted)}")
        made = told(minted, MintedToken)
        return ForgeToken(secret=made.token, expires_at=made.expires_at)

    def _app_jwt(self) -> str:
        now = int(time.time())
        claims = {"iat": now - CLOCK_SKEW_SECONDS, "exp": now + JWT_SECONDS, "iss": self._app_id}
        return jwt.encode(claims, _read_key(self._key), algorithm="RS256")


@lru_cache(maxsize=4)
def _read_key(pem: str) -> RSAPrivateKey:
    """Read once: proving its primes holds the loop for 30 ms, and each mint signs with it."""
    key = RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(pem)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError(
            "expected the forge App's private key, came a public one: see X1_FORGE_KEY_FILE"
        )
    return key
