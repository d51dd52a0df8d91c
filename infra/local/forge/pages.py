"""Small pages, so that a link to a repository, a commit or a file opens. What agents wrote is escaped."""

from html import escape
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from infra.local.forge.repositories import NotFound, Repositories, Repository

MAX_SHOWN = 200_000
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark}pre{overflow:auto;padding:1rem;border:1px solid #8886;border-radius:8px}"
    "td{padding:.15rem .8rem .15rem 0;vertical-align:top}code{font-family:ui-monospace,monospace}"
)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


class Pages:
    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories

    def routes(self) -> list[Route]:
        repo = "/{owner}/{name}"
        return [
            Route("/", self._index),
            Route(f"{repo}/commit/{{sha}}", self._commit),
            Route(f"{repo}/blob/{{reference}}/{{path:path}}", self._blob),
            Route(f"{repo}/tree/{{branch:path}}", self._tree),
            Route(repo, self._tree),
        ]

    async def _index(self, _: Request) -> Response:
        names = [each.full_name for each in self._repositories.all()]
        items = "".join(f'<li><a href="/{quote(name)}">{escape(name)}</a></li>' for name in names)
        return _page("Repositories", f"<ul>{items or '<li>none yet</li>'}</ul>")

    async def _tree(self, request: Request) -> Response:
        branch = request.path_params.get("branch", "main")
        try:
            repository = self._of(request)
            commits, files = await repository.log(branch, 20), await repository.files(branch)
            branches = await repository.branches()
        except NotFound:
            return _missing()
        base = f"/{quote(repository.full_name)}"
        links = " · ".join(
            f'<a href="{base}/tree/{quote(name)}">{escape(name)}</a>' for name, _ in branches
        )
        log = "".join(
            f'<tr><td><a href="{base}/commit/{each.sha}"><code>{each.sha[:8]}</code></a></td>'
            f"<td>{escape(each.message.splitlines()[0] if each.message else '')}</td>"
            f"<td>{escape(each.author)}</td></tr>"
            for each in commits
        )
        listed = "".join(
            f'<li><a href="{base}/blob/{quote(branch, safe="")}/{quote(name)}">{escape(name)}</a></li>'
            for name in files[:500]
        )
        body = f"<p>{links}</p><h2>Commits</h2><table>{log}</table><h2>Files</h2><ul>{listed}</ul>"
        return _page(f"{repository.full_name} · {branch}", body)

    async def _commit(self, request: Request) -> Response:
        try:
            repository = self._of(request)
            commit = await repository.commit(request.path_params["sha"])
            diff = await repository.diff(commit.sha)
        except NotFound:
            return _missing()
        body = (
            f'<p><a href="/{quote(repository.full_name)}">{escape(repository.full_name)}</a> · '
            f"{escape(commit.author)} · {escape(commit.date)}</p>"
            f"<pre>{escape(commit.message)}</pre><pre>{escape(diff[:MAX_SHOWN])}</pre>"
        )
        return _page(f"Commit {commit.sha[:8]}", body)

    async def _blob(self, request: Request) -> Response:
        path = request.path_params["path"]
        try:
            content = await self._of(request).read(path, request.path_params["reference"])
        except NotFound:
            return _missing()
        shown = content[:MAX_SHOWN].decode("utf-8", "replace")
        return _page(path, f"<pre>{escape(shown)}</pre>")

    def _of(self, request: Request) -> Repository:
        return self._repositories.get(request.path_params["owner"], request.path_params["name"])


def _missing() -> Response:
    return _page("Not found", "<p>There is no such repository, branch, commit or file.</p>", 404)


def _page(title: str, body: str, status: int = 200) -> Response:
    html = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>"
        f"<h1>{escape(title)}</h1>{body}"
    )
    return HTMLResponse(html, status_code=status, headers=HEADERS)
