"""GitHub's REST API, as far as x1flows uses it. Shapes and codes: https://docs.github.com/en/rest."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.forge.pulls import Pulls
from infra.local.forge.repositories import Commit, Conflict, NotFound, Repositories, Repository
from infra.local.forge.requests import bearer, body
from infra.local.forge.tokens import Tokens

RAW = "application/vnd.github.raw"
Handler = Callable[[Request, Repository], Awaitable[Response]]


class Rest:
    """The routes over repositories: tokens do what they were narrowed to."""

    def __init__(self, repositories: Repositories, tokens: Tokens) -> None:
        self._repositories = repositories
        self._tokens = tokens
        self._pulls = Pulls()

    def routes(self) -> list[Route]:
        repo = "/repos/{owner}/{name}"
        reads: dict[str, Handler] = {
            "": self._repository,
            "/branches": self._branches,
            "/branches/{branch:path}": self._branch,
            "/commits": self._commits,
            "/commits/{reference:path}": self._commit,
            "/compare/{span:path}": self._compare,
            "/contents/{path:path}": self._contents,
            "/git/ref/heads/{branch:path}": self._ref,
            "/pulls": self._list_pulls,
            "/pulls/{number:int}": self._pull,
        }
        writes: dict[tuple[str, str], Handler] = {
            ("POST", "/merges"): self._merge,
            ("POST", "/pulls"): self._open_pull,
            ("PUT", "/pulls/{number:int}/merge"): self._merge_pull,
        }
        return [
            Route("/admin/repos", self._create, methods=["POST"]),
            *(
                Route(repo + path, self._allowed("write", handler), methods=[method])
                for (method, path), handler in writes.items()
            ),
            *(
                Route(repo + path, self._allowed("read", handler))
                for path, handler in reads.items()
            ),
        ]

    def _allowed(self, access: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            presented = bearer(request)
            is_admin, token = self._tokens.is_admin(presented), self._tokens.find(presented)
            if not is_admin and token is None:
                raise HTTPException(401, "Bad credentials")
            repository = self._find(request)
            if token is not None and not token.allows(repository.full_name, access):
                raise HTTPException(403, "Resource not accessible by integration")
            try:
                return await handler(request, repository)
            except NotFound as error:
                raise HTTPException(404, "Not Found") from error
            except Conflict as error:
                raise HTTPException(409, str(error)) from error

        return endpoint

    def _find(self, request: Request) -> Repository:
        try:
            return self._repositories.get(request.path_params["owner"], request.path_params["name"])
        except NotFound as error:
            raise HTTPException(404, "Not Found") from error

    async def _create(self, request: Request) -> Response:
        if not self._tokens.is_admin(bearer(request)):
            raise HTTPException(401, "Bad credentials")
        owner, _, name = str((await body(request)).get("full_name", "")).partition("/")
        try:
            made = await self._repositories.create(owner, name)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return JSONResponse(self._shape(request, made), status_code=201)

    def _shape(self, request: Request, repository: Repository) -> dict[str, Any]:
        base = str(request.base_url).rstrip("/")
        return {
            "name": repository.name,
            "full_name": repository.full_name,
            "owner": {"login": repository.owner},
            "default_branch": "main",
            "private": True,
            "html_url": f"{base}/{repository.full_name}",
            "clone_url": f"{base}/{repository.full_name}.git",
        }

    async def _repository(self, request: Request, repository: Repository) -> Response:
        return JSONResponse(self._shape(request, repository))

    async def _branches(self, _: Request, repository: Repository) -> Response:
        listed = await repository.branches()
        return JSONResponse([{"name": name, "commit": {"sha": sha}} for name, sha in listed])

    async def _branch(self, request: Request, repository: Repository) -> Response:
        name = request.path_params["branch"]
        return JSONResponse({"name": name, "commit": {"sha": await repository.head_of(name)}})

    async def _ref(self, request: Request, repository: Repository) -> Response:
        name = request.path_params["branch"]
        found = {"sha": await repository.head_of(name), "type": "commit"}
        return JSONResponse({"ref": f"refs/heads/{name}", "object": found})

    async def _commits(self, request: Request, repository: Repository) -> Response:
        listed = await repository.log(request.query_params.get("sha", "main"))
        return JSONResponse([commit_shape(each) for each in listed])

    async def _commit(self, request: Request, repository: Repository) -> Response:
        return JSONResponse(commit_shape(await repository.commit(request.path_params["reference"])))

    async def _compare(self, request: Request, repository: Repository) -> Response:
        base, _, head = request.path_params["span"].partition("...")
        old, new = await repository.resolve(base), await repository.resolve(head)
        ahead, behind = await repository.count_between(old, new)
        status = {
            (False, False): "identical",
            (True, False): "ahead",
            (False, True): "behind",
        }.get((ahead > 0, behind > 0), "diverged")
        told = {
            "status": status,
            "ahead_by": ahead,
            "behind_by": behind,
            "merge_base_commit": {"sha": await repository.merge_base(old, new)},
        }
        return JSONResponse(told)

    async def _contents(self, request: Request, repository: Repository) -> Response:
        path, ref = request.path_params["path"], request.query_params.get("ref", "main")
        try:
            content = await repository.read(path, ref)
        except NotFound:
            return JSONResponse(
                [{"type": kind, "name": name} for kind, name in await repository.list(path, ref)]
            )
        if RAW in request.headers.get("accept", ""):
            return Response(content, media_type=f"{RAW}+json")
        encoded = base64.b64encode(content).decode()
        told = {"type": "file", "path": path, "encoding": "base64", "content": encoded}
        return JSONResponse(told | {"size": len(content)})

    async def _merge(self, request: Request, repository: Repository) -> Response:
        asked = await body(request)
        base, head = str(asked.get("base", "")), str(asked.get("head", ""))
        message = str(asked.get("commit_message") or f"Merge {head} into {base}")
        made = await repository.merge(base, head, message)
        if made is None:
            return Response(status_code=204)
        return JSONResponse(commit_shape(await repository.commit(made)), status_code=201)

    async def _list_pulls(self, _: Request, repository: Repository) -> Response:
        return JSONResponse(self._pulls.all(repository))

    async def _pull(self, request: Request, repository: Repository) -> Response:
        return JSONResponse(self._pulls.get(repository, request.path_params["number"]))

    async def _open_pull(self, request: Request, repository: Repository) -> Response:
        asked = await body(request)
        try:
            sha = await repository.head_of(str(asked.get("head", "")))
            await repository.head_of(str(asked.get("base", "")))
        except NotFound as error:
            raise HTTPException(422, "Validation Failed: head and base are branches") from error
        return JSONResponse(self._pulls.open(repository, asked, sha), status_code=201)

    async def _merge_pull(self, request: Request, repository: Repository) -> Response:
        pull = self._pulls.get(repository, request.path_params["number"])
        if pull["merged"]:
            raise HTTPException(405, "Pull Request is not mergeable")
        expected = (await body(request)).get("sha")
        head = await repository.head_of(pull["head"]["ref"])
        if expected not in (None, head):
            raise Conflict("Head branch was modified. Review and try the merge again.")
        made = await repository.merge(pull["base"]["ref"], head, pull["title"])
        self._pulls.merged(repository, pull["number"], made or head)
        return JSONResponse({"sha": made or head, "merged": True, "message": "merged"})


def commit_shape(commit: Commit) -> dict[str, Any]:
    person = {"name": commit.author, "email": commit.email, "date": commit.date}
    return {
        "sha": commit.sha,
        "parents": [{"sha": parent} for parent in commit.parents],
        "commit": {"message": commit.message, "author": person, "tree": {"sha": commit.tree}},
    }
