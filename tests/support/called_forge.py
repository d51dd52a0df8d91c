"""The embedded forge, called in a test's own process."""

from dataclasses import dataclass
from pathlib import Path

import httpx

from infra.local.forge.tokens import Tokens


@dataclass
class Embedded:
    """`acme/app` and `acme/other` are there, as empty directories: git is not needed to be refused."""

    http: httpx.AsyncClient
    tokens: Tokens
    root: Path

    def bearer(self, *repos: str, **permissions: str) -> dict[str, str]:
        text, _ = self.tokens.mint(repos, permissions or {"contents": "write"})
        return {"authorization": f"Bearer {text}"}
