"""Tools over MCP, streamable HTTP, with the official client. Loaded when the first tool is called.

Connections last a turn: a sidecar that was replaced between two turns is no trouble.
"""

import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from sidecar.scripted.errors import StepFailed

if TYPE_CHECKING:
    from mcp.client.session import ClientSession

DEFAULT_SECONDS: Final = 120.0
CONNECT_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """As `session/new` names it."""

    name: str
    url: str
    headers: Mapping[str, str]


def servers_of(given: Any) -> tuple[Server, ...]:
    """Those that speak HTTP; others a script cannot use."""
    entries = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    return tuple(
        Server(
            name=str(each.get("name", "")),
            url=str(each["url"]),
            headers={
                str(header["name"]): str(header["value"])
                for header in each.get("headers") or []
                if isinstance(header, dict) and {"name", "value"} <= header.keys()
            },
        )
        for each in entries
        if each.get("type") == "http" and each.get("url")
    )


class _Connection:
    """One server, held by a task of its own: when the transport breaks, it breaks that task and not the turn."""

    def __init__(self, server: Server, tasks: asyncio.TaskGroup) -> None:
        self._server = server
        self._closing = asyncio.Event()
        self._opened: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._trouble = "the connection ended"
        self._tasks = tasks
        self._keeping = tasks.create_task(self._keep(), name=f"mcp {server.name}")
        self.takes_key: dict[str, bool] = {}

    @property
    def is_open(self) -> bool:
        return not self._keeping.done()

    async def open(self) -> None:
        """Raises StepFailed."""
        await self._unless_broken(self._opened)

    async def call(self, name: str, given: dict[str, Any], timeout: float) -> Any:
        """The tool's result as the client gives it. Raises StepFailed."""
        session = self._opened.result()
        calling = self._tasks.create_task(
            _guarded(session.call_tool(name, given, read_timeout_seconds=timeout)), name=name
        )
        try:
            answer = await self._unless_broken(calling)
        finally:
            calling.cancel()
        if isinstance(answer, Exception):
            raise StepFailed("unreachable", f"{name}: {_words(answer)}") from answer
        return answer

    def close(self) -> None:
        self._closing.set()

    async def _unless_broken(self, awaited: "asyncio.Future[Any]") -> Any:
        await asyncio.wait({awaited, self._keeping}, return_when=asyncio.FIRST_COMPLETED)
        if not awaited.done():
            raise StepFailed("unreachable", f"MCP server {self._server.name!r}: {self._trouble}")
        return awaited.result()

    async def _keep(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                self._opened.set_result(await self._open(stack.enter_async_context))
                await self._closing.wait()
        except Exception as error:  # noqa: BLE001 - a background guard: transport, protocol, timeout
            self._trouble = _words(error)

    async def _open(self, enter: Any) -> "ClientSession":
        from mcp.client.session import ClientSession  # noqa: PLC0415 - takes most of a second
        from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415
        from mcp.shared._httpx_utils import create_mcp_http_client  # noqa: PLC0415 - no public name

        http = await enter(create_mcp_http_client(headers=dict(self._server.headers)))
        streams = await enter(streamable_http_client(self._server.url, http_client=http))
        session: ClientSession = await enter(
            ClientSession(streams[0], streams[1], read_timeout_seconds=CONNECT_SECONDS)
        )
        await session.initialize()
        self.takes_key = {
            tool.name: "idempotency_key" in (tool.input_schema.get("properties") or {})
            for tool in (await session.list_tools()).tools
        }
        return session


class Tools:
    """An async context manager, as long as a turn."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._tasks = asyncio.TaskGroup()
        self._connections: list[_Connection] = []

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for connection in self._connections:
            connection.close()
        await self._tasks.__aexit__(kind, error, traceback)

    async def call(
        self, name: str, arguments: dict[str, Any], *, key: str, timeout: float = DEFAULT_SECONDS
    ) -> Any:
        """What the tool answered, JSON already read. Raises StepFailed with the tool's own code.

        `key` makes a repeat after a crash harmless, where the tool takes one.
        """
        connection = await self._offering(name)
        given = arguments
        if connection.takes_key[name] and key:
            given = {"idempotency_key": key, **arguments}
        answer = await connection.call(name, given, timeout)
        text = "\n".join(
            str(each.text) for each in getattr(answer, "content", []) if hasattr(each, "text")
        )
        if getattr(answer, "is_error", False):
            code, _, words = text.partition(": ")
            is_code = code.replace("_", "").isalnum() and bool(words)
            raise StepFailed(code if is_code else "tool_failed", text)
        return _value(text)

    async def _offering(self, name: str) -> _Connection:
        if not all(connection.is_open for connection in self._connections):
            for connection in self._connections:
                connection.close()
            self._connections = []
        if not self._connections:
            self._connections = [_Connection(server, self._tasks) for server in self._servers]
        for connection in self._connections:
            await connection.open()
            if name in connection.takes_key:
                return connection
        known = sorted(tool for each in self._connections for tool in each.takes_key)
        raise StepFailed(
            "no_such_tool",
            f"no tool {name!r} is offered; there are: {', '.join(known) or 'none'}",
        )


async def _guarded(calling: Awaitable[Any]) -> Any:
    """The client's errors have no common base; they are answers here, so that they end no task group."""
    try:
        return await calling
    except Exception as error:  # noqa: BLE001 - a background guard; the caller decides
        return error


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _words(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return str(error) or type(error).__name__
