"""A one-machine stack for measuring, driven like a user's."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

X1 = str(Path(sys.executable).parent / "x1")
PATIENCE_SECONDS = 60


class Stack:
    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._http: httpx.Client | None = None

    def up(self) -> float:
        """Seconds until everything was ready."""
        began = time.monotonic()
        self.x1("up")
        took = time.monotonic() - began
        status = json.loads(self.x1("status", "--json"))
        self.urls: dict[str, str] = status["urls"]
        token = Path(status["operator_token_file"]).read_text().strip()
        headers = {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=self.urls["relay"], headers=headers, trust_env=False)
        return took

    def down(self) -> None:
        if self._http is not None:
            self._http.close()
        self.x1("down")

    def x1(self, *words: str) -> str:
        command = [X1, *words]
        position = 3 if words[0] == "agents" else 2
        command[position:position] = ["--state-dir", str(self.state_dir)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout

    def get(self, path: str, **params: Any) -> Any:
        assert self._http is not None
        return self._http.get(path, params=params).raise_for_status().json()

    def post(self, path: str, body: Any) -> Any:
        assert self._http is not None
        return self._http.post(path, json=body).raise_for_status().json()

    def events(self, session_id: str, after: int = 0) -> list[dict[str, Any]]:
        return self.get(f"/api/sessions/{session_id}/events", after=after)["events"]


def until(look: Callable[[], Any], what: str) -> Any:
    """What `look` returns once it is something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {PATIENCE_SECONDS} s")
        time.sleep(0.02)
    return found
