"""Whom our services trust outside: public authorities and, where a team has some, those of its own.

For the forge and the registry alone. The previews' own authority is another one, which lies beside its users.
"""

import ssl
from pathlib import Path
from typing import Literal

import httpx


def trusted(own: Path | None) -> ssl.SSLContext | Literal[True]:
    """As httpx and aiohttp take it; True: as they do by themselves.

    `own` holds certificates in PEM. One that is missing or blank adds nobody. Raises ssl.SSLError for what is no
    certificate.
    """
    text = own.read_text() if own is not None and own.exists() else ""
    if not text.strip():
        return True
    context = httpx.create_ssl_context(trust_env=False)
    context.load_verify_locations(cadata=text)
    return context
