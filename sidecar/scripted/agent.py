"""The ACP v1 agent: initialize, session/new, session/load, session/prompt, session/cancel.

It answers `initialize` before anything heavy is loaded. Requests are handled as they come; prompts run beside
the reading, so that a cancel is heard.
"""

import asyncio
import json
import os
import sys
import traceback
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sidecar.scripted import stdio

if TYPE_CHECKING:
    from sidecar.scripted.player import Player
    from sidecar.scripted.voice import Voice

PARSE, METHOD_UNKNOWN, PARAMS, INTERNAL = -32700, -32601, -32602, -32603
SCRIPT_FAILED: Final = -32001
SESSION_UNKNOWN: Final = -32002
CAPABILITIES: Final = {
    "loadSession": True,
    "mcpCapabilities": {"http": True, "sse": False},
    "promptCapabilities": {"image": False, "audio": False, "embeddedContext": True},
}


class Fault(Exception):
    """An answer that is an error."""

    def __init__(self, number: int, message: str, data: Any = None) -> None:
        self.body = {"code": number, "message": message} | ({"data": data} if data else {})
        super().__init__(message)


class Agent:
    def __init__(self, *, script: Path | None, state: Path) -> None:
        self._script = script
        self._state = state
        self._conversations: dict[str, Conversation] = {}
        self._methods: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "initialize": self._initialize,
            "authenticate": _nothing,
            "session/new": self._new,
            "session/load": self._load,
            "session/prompt": self._prompt,
            "session/set_mode": _nothing,
        }

    async def serve(self) -> None:
        """Until standard input ends; then whatever still plays is cut short, as a crash would."""
        async with asyncio.TaskGroup() as tasks:
            answering: set[asyncio.Task[None]] = set()
            async for message in stdio.messages():
                if message.get("method") == "session/cancel":
                    self._cancel(message.get("params") or {})
                elif "method" in message and "id" in message:
                    task = tasks.create_task(self._answer(message), name=str(message["method"]))
                    answering.add(task)
                    task.add_done_callback(answering.discard)
            for task in answering:
                task.cancel()

    async def _answer(self, message: dict[str, Any]) -> None:
        """The request boundary: every failure becomes an error answer."""
        try:
            answer: dict[str, Any] = {"result": await self._result(message)}
        except Fault as fault:
            answer = {"error": fault.body}
        except Exception as error:  # noqa: BLE001 - the request boundary
            traceback.print_exc(file=sys.stderr)
            answer = {"error": {"code": INTERNAL, "message": f"{type(error).__name__}: {error}"}}
        stdio.write({"id": message["id"], **answer})

    async def _result(self, message: dict[str, Any]) -> dict[str, Any]:
        params = message.get("params")
        method = self._methods.get(str(message["method"]))
        if method is None:
            raise Fault(METHOD_UNKNOWN, f"there is no method {str(message['method'])[:100]!r}")
        return await method(params if isinstance(params, dict) else {})

    async def _initialize(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "protocolVersion": 1,
            "agentCapabilities": CAPABILITIES,
            "agentInfo": {"name": "x1-scripted", "title": "Scripted runtime", "version": "1"},
            "authMethods": [],
        }

    async def _new(self, params: dict[str, Any]) -> dict[str, Any]:
        session_id = str(uuid.uuid4())
        self._conversations[session_id] = self._open(session_id, params, is_known=False)
        return {"sessionId": session_id}

    async def _load(self, params: dict[str, Any]) -> dict[str, Any]:
        session_id = str(params.get("sessionId"))
        conversation = self._open(session_id, params, is_known=True)
        self._conversations[session_id] = conversation
        conversation.voice.replay()
        return {}

    async def _prompt(self, params: dict[str, Any]) -> dict[str, Any]:
        conversation = self._conversations.get(str(params.get("sessionId")))
        if conversation is None:
            raise Fault(SESSION_UNKNOWN, "no such session: session/new or session/load comes first")
        return {"stopReason": await conversation.turn(_text(params.get("prompt")))}

    def _cancel(self, params: dict[str, Any]) -> None:
        conversation = self._conversations.get(str(params.get("sessionId")))
        if conversation is not None:
            conversation.cancel()

    def _open(self, session_id: str, params: dict[str, Any], *, is_known: bool) -> "Conversation":
        """Raises Fault: a script that cannot be played, with every finding; a conversation nobody knows."""
        from sidecar.domain.errors import InvalidArguments  # noqa: PLC0415 - loaded after initialize
        from sidecar.scripted.player import Player  # noqa: PLC0415
        from sidecar.scripted.reading import read_script  # noqa: PLC0415
        from sidecar.scripted.state import State, files_of  # noqa: PLC0415
        from sidecar.scripted.tools import servers_of  # noqa: PLC0415
        from sidecar.scripted.voice import Voice  # noqa: PLC0415

        try:
            script = read_script(self._text_of_script(), "the script")
        except InvalidArguments as error:
            findings = [
                {"line": each.line, "path": each.path, "message": each.message}
                for each in error.findings
            ]
            raise Fault(SCRIPT_FAILED, str(error), {"findings": findings}) from error
        workspace = Path(str(params.get("cwd") or ""))
        if not workspace.is_absolute() or not workspace.is_dir():
            raise Fault(PARAMS, f"cwd is no directory: {str(workspace)!r}")
        self._state.mkdir(parents=True, exist_ok=True)
        files = files_of(self._state, session_id)
        state = State.load(files[0]) if files and is_known else None
        if files is None or (is_known and state is None):
            raise Fault(SESSION_UNKNOWN, f"there is no conversation {session_id[:64]!r} to load")
        if state is None:
            state = State(files[0])
            state.digest, state.variables = script.digest, dict(script.variables)
            state.save()
        state.variables = {**script.variables, **state.variables}
        voice = Voice(lambda update: _tell(session_id, update), files[1])
        player = Player(
            script=script,
            state=state,
            voice=voice,
            workspace=workspace,
            servers=servers_of(params.get("mcpServers")),
            repos=_repos(),
        )
        return Conversation(player, voice)

    def _text_of_script(self) -> str:
        if self._script is None:
            raise Fault(SCRIPT_FAILED, "X1_SCRIPT names no script")
        try:
            return self._script.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise Fault(SCRIPT_FAILED, f"X1_SCRIPT cannot be read: {error}") from error


class Conversation:
    """One at a time plays."""

    def __init__(self, player: "Player", voice: "Voice") -> None:
        self.voice = voice
        self._player = player
        self._playing: asyncio.Task[None] | None = None
        self._is_cancelled = False

    async def turn(self, text: str) -> str:
        """The stop reason. Raises Fault when a step fails: prompted again, the turn goes on there."""
        from sidecar.scripted.errors import StepFailed  # noqa: PLC0415
        from sidecar.scripted.prompts import prompt_of  # noqa: PLC0415

        if self._playing is not None:
            raise Fault(PARAMS, "a turn is under way; cancel it first")
        self._is_cancelled = False
        self.voice.was_told(text)
        failed: StepFailed | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                self._playing = tasks.create_task(self._player.play(prompt_of(text)), name="turn")
        except* StepFailed as errors:
            failed = _first(errors)
        finally:
            self._playing = None
        if failed is not None:
            raise Fault(SCRIPT_FAILED, str(failed), failed.as_names())
        if self._is_cancelled:
            self._player.forget_turn()
            return "cancelled"
        return "end_turn"

    def cancel(self) -> None:
        if self._playing is not None:
            self._is_cancelled = True
            self._playing.cancel()


def _first(errors: BaseExceptionGroup[Any]) -> Any:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _nothing(_: dict[str, Any]) -> dict[str, Any]:
    return {}


def _tell(session_id: str, update: dict[str, Any]) -> None:
    params = {"sessionId": session_id, "update": update}
    stdio.write({"method": "session/update", "params": params})


def _text(blocks: Any) -> str:
    """The text blocks of a prompt; what else may be in it says nothing to a script."""
    given = [each for each in blocks if isinstance(each, dict)] if isinstance(blocks, list) else []
    return "\n\n".join(str(each.get("text", "")) for each in given if each.get("type") == "text")


def _repos() -> Any:
    with suppress(ValueError):
        return json.loads(os.environ.get("AGENT_REPOS_JSON", "[]"))
    return []
