"""The embedded forge called in the tests' own process, and GitHub's client without its waits."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from called_forge import Embedded
from embedded_forge import ADMIN, APP_ID, app_key
from tenacity import wait_none

from infra.local.forge.app import Forge
from infra.local.forge.repositories import Repositories
from infra.local.forge.tokens import Tokens
from sidecar.relay.forge.github import GitHub


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Embedded]:
    for name in ("app", "other"):
        (tmp_path / "acme" / f"{name}.git").mkdir(parents=True)
    tokens = Tokens(
        tmp_path / "tokens.json",
        app_id=APP_ID,
        app_public_key=app_key().public,
        admin_token=ADMIN,
    )
    transport = httpx.ASGITransport(app=Forge(Repositories(tmp_path), tokens))
    async with httpx.AsyncClient(transport=transport, base_url="http://forge") as http:
        yield Embedded(http, tokens, tmp_path)


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tries at once."""
    monkeypatch.setattr(GitHub._exchange.retry, "wait", wait_none())  # pyright: ignore[reportPrivateUsage]
