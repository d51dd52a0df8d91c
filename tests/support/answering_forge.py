"""A forge that answers as a test says, request by request: for what no real one does on demand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
from embedded_forge import APP_ID, app_key

from sidecar.relay.forge.github import GitHub

SECRET = "ghs_" + "s3cret" * 6
Reply = Callable[[httpx.Request], httpx.Response]


@dataclass
class AnsweringForge:
    """Mints tokens unless `reply` knows better; `reply` returns 404 for what it leaves alone."""

    reply: Reply
    asked: list[httpx.Request] = field(default_factory=list[httpx.Request])
    is_minting: bool = True
    lifetime: timedelta = timedelta(hours=1)

    def client(self) -> GitHub:
        return GitHub(
            api_url="http://forge.invalid/api/v3/",
            git_url="http://forge.invalid/",
            app_id=APP_ID,
            private_key=app_key().private,
            transport=httpx.MockTransport(self._answer),
        )

    def paths(self) -> list[str]:
        return [f"{each.method} {each.url.path.removeprefix('/api/v3')}" for each in self.asked]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.is_minting and request.url.path.endswith("/installation"):
            return httpx.Response(200, json={"id": 5})
        if self.is_minting and request.url.path.endswith("/access_tokens"):
            expires = (datetime.now(UTC) + self.lifetime).isoformat()
            return httpx.Response(201, json={"token": SECRET, "expires_at": expires})
        return self.reply(request)
