"""Redaction: the second line of defence. Known secrets and the shapes of tokens become `***`.

The first line is that secrets are SecretStr and are never handed to a log or an event at all.
"""

import re
from typing import Any, Final

MASK: Final = "***"
SHORTEST_SECRET: Final = 8
"""Shorter strings occur by chance: masking them would garble ordinary text."""

_SHAPES: Final = re.compile(
    r"gh[pousr]_[A-Za-z0-9_.\-]{16,}"  # forge tokens
    r"|github_pat_[A-Za-z0-9_]{20,}"
    r"|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*"  # JWTs
    r"|\bS[UAOC][A-Z2-7]{56}\b"  # NATS seeds
    r"|sk-[A-Za-z0-9_\-]{20,}"  # model keys
    r"|x-access-token:[^@\s/]+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user and password in a URL
    r"|(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9._~+/=\-]{16,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)


class Redactor:
    """Knows secrets by value; `mask` walks JSON-like values and replaces what it knows or recognises."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def learn(self, secret: str) -> None:
        if len(secret) >= SHORTEST_SECRET:
            self._known.add(secret)

    def forget(self, secret: str) -> None:
        self._known.discard(secret)

    def mask_text(self, text: str) -> str:
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, MASK)
        return _SHAPES.sub(MASK, text)

    def mask(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.mask_text(value)
        if isinstance(value, dict):
            return {key: self.mask(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask(item) for item in value]
        return value
