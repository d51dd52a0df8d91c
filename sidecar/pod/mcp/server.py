"""The MCP server of one session, on loopback, for whoever shows its bearer.

A refusal is a tool error whose text starts with its code: models act on it. What is wrong with arguments is
said in one answer, field by field.
"""

import hmac
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import mcp_types as types
import structlog
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from sidecar.domain.errors import AgentNotPermitted, InvalidArguments, X1Error
from sidecar.http_errors import invalid
from sidecar.pod.mcp.catalog import CATALOG
from sidecar.pod.mcp.tool import Arguments, Desk, Tool, key_of

MAX_ANSWER_CHARACTERS: Final = 400_000

log = structlog.stdlib.get_logger(__name__)

Turn = Callable[[], tuple[str, dict[str, int]]]
"""The current turn's wake and its ordinals."""
DeskAt = Callable[[str], Desk]


class Toolbox:
    """What a session may call now, and the calling itself."""

    def __init__(
        self, *, allowed: Callable[[], Sequence[str]], desk_at: DeskAt, turn: Turn
    ) -> None:
        self._allowed = allowed
        self._desk_at = desk_at
        self._turn = turn

    def tools(self) -> list[Tool]:
        return [CATALOG[name] for name in self._allowed() if name in CATALOG]

    async def call(self, name: str, given: dict[str, Any]) -> Any:
        """Raises X1Error: the tool's refusal."""
        tool = next((each for each in self.tools() if each.name == name), None)
        if tool is None:
            if name in CATALOG:
                raise AgentNotPermitted(f"{name} needs a grant: only a human grants; ask for it")
            raise InvalidArguments(f"there is no tool {name[:100]!r}")
        try:
            arguments = tool.arguments.model_validate(given)
        except ValidationError as error:
            raise invalid(error) from error
        return await tool.act(self._desk_at(self._key(tool, arguments)), arguments)

    def _key(self, tool: Tool, arguments: Arguments) -> str:
        wake_id, ordinals = self._turn()
        return key_of(wake_id=wake_id, tool=tool.name, arguments=arguments, ordinals=ordinals)


@asynccontextmanager
async def serving(toolbox: Toolbox, *, bearer: str, port: int) -> AsyncGenerator[ASGIApp]:
    """The ASGI application at /mcp, as long as the context is open."""
    manager = StreamableHTTPSessionManager(
        _server(toolbox),
        security_settings=TransportSecuritySettings(
            allowed_hosts=[f"127.0.0.1:{port}", f"localhost:{port}"]
        ),
        max_sessions=64,
    )
    async with manager.run():
        yield _Guarded(manager.asgi_app, bearer)


def _server(toolbox: Toolbox) -> Server[dict[str, Any]]:
    async def list_tools(_: Any, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_shown(tool) for tool in toolbox.tools()])

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            answer = await toolbox.call(params.name, params.arguments or {})
        except X1Error as refusal:
            return _result(f"{refusal.code}: {refusal}", is_error=True)
        except Exception:
            log.exception("tool failed", tool=params.name)
            return _result("internal: the sidecar failed at this; its log says why", is_error=True)
        return _result(json.dumps(answer, ensure_ascii=False, default=str), is_error=False)

    return Server("x1", version="1", on_list_tools=list_tools, on_call_tool=call_tool)


def _shown(tool: Tool) -> types.Tool:
    schema = tool.arguments.model_json_schema()
    schema.pop("title", None)
    schema.pop("description", None)
    return types.Tool(name=tool.name, description=tool.description, input_schema=schema)


def _result(text: str, *, is_error: bool) -> types.CallToolResult:
    if len(text) > MAX_ANSWER_CHARACTERS:
        text = f"{text[:MAX_ANSWER_CHARACTERS]}… (cut: ask for less)"
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)], is_error=is_error
    )


class _Guarded:
    """Lets in who shows the session's bearer, compared in constant time."""

    def __init__(self, app: ASGIApp, bearer: str) -> None:
        self._app = app
        self._expected = f"Bearer {bearer}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shown = dict(scope["headers"]).get(b"authorization", b"")
        if hmac.compare_digest(shown, self._expected):
            await self._app(scope, receive, send)
            return
        headers = [(b"www-authenticate", b"Bearer"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
