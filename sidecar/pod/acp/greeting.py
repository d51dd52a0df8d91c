"""How a conversation with a runtime begins: initialize, authenticate, load or new, mode.

The conversation's id is kept in the state directory, so that the next start, in this activation or a later
one, loads it. A runtime that cannot load it gets a new one, and the loss is told.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sidecar.pod.acp.client import AcpClient
from sidecar.pod.acp.errors import CallRefused
from sidecar.pod.acp.profile import Profile
from sidecar.pod.notes import CONVERSATION

PROTOCOL_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """`lost` says why an earlier conversation could not be loaded."""

    session_id: str
    is_resumed: bool
    version: str = ""
    lost: str = ""


class Greeting:
    def __init__(
        self,
        *,
        profile: Profile,
        runtime: str,
        workspace_dir: Path,
        state_dir: Path,
        instructions: str,
        mcp_servers: list[dict[str, Any]],
    ) -> None:
        self._profile = profile
        self._runtime = runtime
        self._file = state_dir / CONVERSATION
        self._instructions = instructions
        self._common = {"cwd": str(workspace_dir), "mcpServers": mcp_servers}

    async def exchange(self, client: AcpClient) -> Conversation:
        """Raises CallRefused, RuntimeExited, RuntimeSilent."""
        capabilities, version = await self._initialize(client)
        if self._profile.authenticate:
            params = {"methodId": self._profile.authenticate}
            await client.call("authenticate", params, self._profile.session_seconds)
        conversation = await self._begin(client, capabilities, version)
        if self._profile.mode:
            params = {"sessionId": conversation.session_id, "modeId": self._profile.mode}
            await client.call("session/set_mode", params, self._profile.session_seconds)
        return conversation

    async def _initialize(self, client: AcpClient) -> tuple[dict[str, Any], str]:
        offered = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
        answer = await client.call(
            "initialize",
            {
                "protocolVersion": PROTOCOL_VERSION,
                "clientCapabilities": offered,
                "clientInfo": {"name": "x1flows", "version": "1"},
            },
            self._profile.initialize_seconds,
        )
        capabilities, info = answer.get("agentCapabilities"), answer.get("agentInfo")
        version = str(info.get("version", ""))[:100] if isinstance(info, dict) else ""
        return capabilities if isinstance(capabilities, dict) else {}, version

    async def _begin(
        self, client: AcpClient, capabilities: dict[str, Any], version: str
    ) -> Conversation:
        known, lost = self._known(), ""
        extra = self._system_prompt(capabilities)
        if known and capabilities.get("loadSession"):
            try:
                params = {"sessionId": known, **self._common, **extra}
                await client.call("session/load", params, self._profile.session_seconds)
                return Conversation(session_id=known, is_resumed=True, version=version)
            except CallRefused as refused:
                lost = str(refused)
        meta = {"_meta": self._profile.meta} if self._profile.meta else {}
        answer = await client.call(
            "session/new", {**self._common, **extra, **meta}, self._profile.session_seconds
        )
        session_id = answer.get("sessionId")
        if not isinstance(session_id, str):
            raise CallRefused("session/new", {"message": "the answer has no sessionId"})
        self._keep(session_id)
        return Conversation(session_id=session_id, is_resumed=False, version=version, lost=lost)

    def _system_prompt(self, capabilities: dict[str, Any]) -> dict[str, Any]:
        offered = capabilities.get("sessionCapabilities")
        if not self._instructions or not isinstance(offered, dict) or "systemPrompt" not in offered:
            return {}
        content = [{"type": "text", "text": self._instructions}]
        return {"systemPrompt": {"mode": "append", "content": content}}

    def _known(self) -> str | None:
        try:
            kept = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return None
        if not isinstance(kept, dict) or kept.get("runtime") != self._runtime:
            return None
        session_id = kept.get("session_id")
        return session_id if isinstance(session_id, str) else None

    def _keep(self, session_id: str) -> None:
        temporary = self._file.with_suffix(".tmp")
        temporary.write_text(json.dumps({"runtime": self._runtime, "session_id": session_id}))
        temporary.replace(self._file)
