"""JSON-RPC with one agent over its pipes: ordered, lenient, and slower than the agent if it must be.

Every notification is handled before the next line is read. So updates keep their order, a call's answer
comes after the updates sent before it, and a handler that waits (for the bus, say) stops the reading.
The agent is hostile: whatever it writes becomes an update, an answer, a complaint or nothing.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from sidecar.pod.acp.errors import CallRefused, RuntimeExited, RuntimeSilent
from sidecar.pod.acp.lines import Oversize, lines
from sidecar.pod.acp.pipes import Readable, Writable

METHOD_NOT_FOUND: Final = -32601
SHOWN_GARBAGE: Final = 300

Message = dict[str, Any]
OnUpdate = Callable[[Message], Awaitable[None]]
OnTrouble = Callable[[str, str], Awaitable[None]]
"""Called with a kind (`garbage`, `oversize`) and a sentence."""


class AcpClient:
    def __init__(
        self,
        reader: Readable,
        writer: Writable,
        *,
        on_update: OnUpdate,
        on_trouble: OnTrouble,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_update = on_update
        self._on_trouble = on_trouble
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._next = 0
        self._is_closed = False
        self.last_heard = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Reads until the agent closes its output; then every waiting call fails with RuntimeExited."""
        try:
            async for line in lines(self._reader):
                self.last_heard = asyncio.get_running_loop().time()
                await self._take(line)
        except (ConnectionError, OSError):
            return
        finally:
            self._close()

    async def call(self, method: str, params: Message, timeout: float | None) -> Message:
        """The result. Raises CallRefused, RuntimeExited, RuntimeSilent."""
        if self._is_closed:
            raise RuntimeExited(f"{method}: the runtime is gone")
        self._next += 1
        number = self._next
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(timeout):
                await self._write({"id": number, "method": method, "params": params})
                answered = await answer
        except TimeoutError as error:
            raise RuntimeSilent(f"{method}: no answer within {timeout:g} s") from error
        finally:
            self._waiting.pop(number, None)
        if isinstance(refused := answered.get("error"), dict):
            raise CallRefused(method, refused)
        result = answered.get("result")
        return result if isinstance(result, dict) else {}

    async def notify(self, method: str, params: Message) -> None:
        await self._write({"method": method, "params": params})

    def _close(self) -> None:
        self._is_closed = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(RuntimeExited("the runtime exited before it answered"))

    async def _write(self, message: Message) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False)
        try:
            self._writer.write(body.encode(errors="replace") + b"\n")
            await self._writer.drain()
        except (ConnectionError, OSError) as error:
            raise RuntimeExited("the runtime closed its input") from error

    async def _take(self, line: bytes | type[Oversize]) -> None:
        if isinstance(line, type):
            await self._on_trouble("oversize", "a line over 16 MiB on standard output was dropped")
            return
        if not line.strip():
            return
        message = _parsed(line)
        if message is None:
            shown = line[:SHOWN_GARBAGE].decode(errors="replace")
            await self._on_trouble("garbage", f"not a protocol message: {shown}")
        elif "method" in message:
            await self._asked(message)
        else:
            self._answered(message)

    def _answered(self, message: Message) -> None:
        number = message.get("id")
        answer = self._waiting.get(number) if isinstance(number, int) else None
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _asked(self, message: Message) -> None:
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        if message["method"] == "session/update":
            await self._on_update(params)
        elif "id" in message:
            await self._write({"id": message["id"], **_reply(str(message["method"]), params)})


def _parsed(line: bytes) -> Message | None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_message = isinstance(message, dict) and ("method" in message or "id" in message)
    return message if is_message else None


def _reply(method: str, params: Message) -> Message:
    """Permissions are given: what an agent may do outside its container is decided by the gateways."""
    if method == "session/request_permission":
        return {"result": {"outcome": _permission(params.get("options"))}}
    return {"error": {"code": METHOD_NOT_FOUND, "message": f"{method[:100]} is not offered"}}


def _permission(options: Any) -> Message:
    """Chosen by kind: every CLI has other option ids."""
    offered = (
        [each for each in options if isinstance(each, dict)] if isinstance(options, list) else []
    )
    for kind in ("allow_once", "allow_always"):
        for option in offered:
            if option.get("kind") == kind:
                return {"outcome": "selected", "optionId": option.get("optionId")}
    return {"outcome": "cancelled"}
