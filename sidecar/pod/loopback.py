"""The one port the agent reaches: MCP at /mcp, git at `*.localhost` hosts or /git/. Everything else is 404."""

from starlette.types import ASGIApp, Receive, Scope, Send


class Loopback:
    def __init__(self, *, mcp: ASGIApp, git: ASGIApp) -> None:
        self._mcp = mcp
        self._git = git

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if _is_for_git(scope):
            await self._git(scope, receive, send)
        elif scope["path"] in ("/mcp", "/mcp/"):
            await self._mcp(scope, receive, send)
        else:
            await not_found(scope, receive, send)


def _is_for_git(scope: Scope) -> bool:
    host = dict(scope["headers"]).get(b"host", b"").split(b":")[0].lower()
    return host.endswith(b".localhost") or scope["path"].startswith("/git/")


async def not_found(_: Scope, __: Receive, send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"10")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"not found\n"})
