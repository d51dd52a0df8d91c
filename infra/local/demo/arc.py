"""The arc as it happens: the tree's sessions are found, and the stream of each is read to its end."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Final

import httpx

from infra.local import secrets
from infra.local.demo.errors import DemoFailed
from infra.local.demo.happenings import happening_of
from infra.local.demo.screen import Screen
from infra.local.state import StateDir
from infra.local.status import read_running

POLL_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 1.0
TERMINAL: Final = ("complete", "failed", "cancelled")


class Arc:
    """One session tree. `sessions` are its rows by id, `events` what its streams told, in order of arrival."""

    def __init__(self, state: StateDir, root: str, screen: Screen) -> None:
        self.root = root
        self.sessions: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.last_words = "nothing yet"
        self._state = state
        self._screen = screen

    async def follow(self) -> None:
        """Until the tree's first session has ended and all its streams are read."""
        url = read_running(self._state)["urls"]["relay"]
        token = secrets.read(self._state, "operator-token")
        headers = {"authorization": f"Bearer {token}"}
        async with (
            httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as http,
            asyncio.TaskGroup() as tasks,
        ):
            followed: set[str] = set()
            while True:
                await self._look(http)
                for session_id in self.sessions.keys() - followed:
                    tasks.create_task(self._read(http, session_id), name=f"stream {session_id}")
                    followed.add(session_id)
                if self.status == "ended" and self.sessions.keys() <= followed:
                    return
                await asyncio.sleep(POLL_SECONDS)

    @property
    def status(self) -> str:
        rows = self.sessions.values()
        return "ended" if rows and all(row["status"] in TERMINAL for row in rows) else "under way"

    @property
    def lead(self) -> dict[str, Any]:
        return self.sessions[self.root]

    def require_completed(self) -> None:
        """Raises DemoFailed."""
        bad = [row for row in self.sessions.values() if row["status"] != "complete"]
        if bad:
            said = "; ".join(
                f"{row['agent']} {row['id'][-8:]} {row['status']}: {row['outcome']}" for row in bad
            )
            raise DemoFailed(
                "The arc",
                expected="every session of the tree complete",
                came=f"{said}. The last words were: {self.last_words}",
                then=f"x1 events {bad[0]['id'][-8:]} --state-dir {self._state.root} (with --keep)",
            )

    async def _look(self, http: httpx.AsyncClient) -> None:
        """A relay that does not answer is asked again: parts of the stack may be started anew."""
        try:
            answer = await http.get("/api/sessions", params={"root": self.root})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self.last_words = f"the relay does not answer: {error}"
            return
        for row in answer.json()["sessions"]:
            self.sessions[row["id"]] = row

    async def _read(self, http: httpx.AsyncClient, session_id: str) -> None:
        """Resumed wherever it breaks off, without a gap."""
        after = 0
        while True:
            try:
                async with aclosing(_stream(http, session_id, after)) as events:
                    async for event in events:
                        if event["type"] == "wake.read":
                            event["payload"]["wakes"] = await self._wakes(http, event)
                        self._take(event)
                        after = event["sequence"]
                if self.sessions[session_id]["status"] in TERMINAL:
                    return
            except httpx.HTTPError as error:
                self.last_words = f"the stream of {session_id} broke off: {error}"
            await asyncio.sleep(RETRY_SECONDS)

    async def _wakes(self, http: httpx.AsyncClient, event: dict[str, Any]) -> list[dict[str, Any]]:
        """Those that a turn began with; the event names only their ids."""
        ids = event["payload"].get("wake_ids") or []
        answer = await http.get("/api/wakes", params={"session_id": event["session_id"]})
        found = answer.raise_for_status().json()["wakes"]
        return [wake for wake in found if wake["id"] in ids]

    def _take(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        happening = happening_of(event)
        if happening is None:
            return
        row = self.sessions[event["session_id"]]
        agent = row["agent"]
        self.last_words = f"{agent}: {happening.text[:200]}"
        self._screen.happened(f"{agent}·{row['id'][-4:]}", row["depth"], happening)


async def _stream(
    http: httpx.AsyncClient, session_id: str, after: int
) -> AsyncGenerator[dict[str, Any]]:
    headers = {"last-event-id": str(after), "accept": "text/event-stream"}
    path = f"/api/sessions/{session_id}/stream"
    async with http.stream("GET", path, headers=headers, timeout=httpx.Timeout(30, read=60)) as got:
        if got.status_code == HTTPStatus.NO_CONTENT:
            return
        got.raise_for_status()
        async for line in got.aiter_lines():
            if line.startswith("data:"):
                yield json.loads(line[5:])
